# SPDX-License-Identifier: Apache-2.0
"""Law of the difference encoder: differences, digits, segments and the beats in which they leave."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from hw.config import TILE, MachineConfig


@dataclass(frozen=True)
class Segment:
    """Four signed digits (-15..15) of column k of the left operand in one plane (0 low, 1 high)."""

    k: int
    plane: int
    digits: tuple[int, int, int, int]

    @cached_property
    def nonzeros(self) -> int:
        """Digits that need a multiplier."""
        return sum(digit != 0 for digit in self.digits)


#: One cycle of the segments stream: a segment or None per slot.
Beat = tuple[Segment | None, ...]


def digits(difference: torch.Tensor) -> torch.Tensor:
    """Sign-magnitude nibbles of a difference.

    difference : (...), integers of magnitude at most 255. Returns (2, ...) int64: low and high digit, each with the
    difference's sign, so that difference = low + 16 * high.
    """
    difference = difference.to(torch.int64)
    if difference.numel() and int(difference.abs().max()) > 255:
        raise ValueError(f"difference of magnitude {int(difference.abs().max())}, must be at most 255")
    magnitude, sign = difference.abs(), difference.sign()
    return torch.stack((sign * (magnitude & 15), sign * (magnitude >> 4)))


def segments(current: torch.Tensor, reference: torch.Tensor, skip: bool = True) -> list[Segment]:
    """All segments of a panel of (4, K) int8 operands against their reference, in the order of (k, plane).

    With `skip` a segment without a non-zero digit is left out; without it both planes of every column are there.
    """
    planes = digits(current.to(torch.int64) - reference.to(torch.int64))      # (2, 4, K)
    table = planes.permute(2, 0, 1).tolist()                                  # [k][plane][row]
    return [Segment(k, plane, tuple(table[k][plane]))
            for k in range(len(table)) for plane in range(2) if not skip or any(table[k][plane])]


def beats(current: torch.Tensor, reference: torch.Tensor, config: MachineConfig, skip: bool = True) -> list[Beat]:
    """The panel's segments as the encoder sends them when nothing stalls: one beat a cycle.

    `scan` columns are taken together. Slot s serves residue s // (slots / residues) of k; each residue
    sends its segments in order, as many a cycle as it has slots, until all residues are through. A group without
    segments still costs a beat. The panel's last beat is the last of the list.
    """
    per_residue = config.slots_per_residue
    length = current.shape[1]
    sent = segments(current, reference, skip)
    result: list[Beat] = []
    position = 0
    for start in range(0, length, config.scan):
        group: list[list[Segment]] = [[] for _ in range(config.residues)]
        while position < len(sent) and sent[position].k < start + config.scan:
            group[sent[position].k % config.residues].append(sent[position])
            position += 1
        cycles = max(1, max(-(-len(queue) // per_residue) for queue in group))
        for cycle in range(cycles):
            slots: list[Segment | None] = []
            for queue in group:
                part: list[Segment | None] = list(queue[cycle * per_residue:(cycle + 1) * per_residue])
                slots += part + [None] * (per_residue - len(part))
            result.append(tuple(slots))
    return result


def panel(matrix: torch.Tensor, index: int) -> torch.Tensor:
    """Rows 4*index .. 4*index+3 of (M, K), padded with zero rows to four."""
    rows = matrix[TILE * index:TILE * (index + 1)]
    return torch.nn.functional.pad(rows, (0, 0, 0, TILE - rows.shape[0]))
