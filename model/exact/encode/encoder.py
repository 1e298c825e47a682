# SPDX-License-Identifier: Apache-2.0
"""Law of the difference encoder: differences, digits, segments and the beats in which they leave."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import torch

from hw.config import TILE, MachineConfig

#: Weight of each digit of a difference, as a power of 16: low, high, and two for what does not fit into eight bits.
PLANES = (0, 1, 1, 1)


class Segment(NamedTuple):
    """Four digits (-8..8) of column k of the left operand in one plane (0 low, 1 high).

    `rows`: bit r is set where row r is to be issued: its digit is not zero, or zeros are not skipped.
    """

    k: int
    plane: int
    digits: tuple[int, int, int, int]
    rows: int

    @property
    def count(self) -> int:
        """Digits that need a multiplier."""
        return self.rows.bit_count()


#: One cycle of the segments stream: a segment or None per slot.
Beat = tuple[Segment | None, ...]


def digits(difference: torch.Tensor) -> torch.Tensor:
    """Signed radix-16 digits of a difference, each -8..8.

    difference : (...), integers of magnitude at most 255. Returns (4, ...) int64: low, high, over, over, so that
    difference = low + 16 * (high + over + over). The low digit is the low nibble read as two's complement; the high
    digit is the rest of the low eight bits; where the difference needs a ninth bit, each `over` is 8 or -8.
    """
    difference = difference.to(torch.int64)
    if difference.numel() and int(difference.abs().max()) > 255:
        raise ValueError(f"difference of magnitude {int(difference.abs().max())}, must be at most 255")
    byte = (difference + 128) % 256 - 128
    low = (byte + 8) % 16 - 8
    over = (difference - byte) // 32
    return torch.stack((low, (byte - low) // 16, over, over))


def segments(current: torch.Tensor, reference: torch.Tensor, skip: bool = True) -> list[Segment]:
    """All segments of a panel of (4, K) int8 operands against their reference, column by column.

    With `skip` a digit of zero is not issued and a segment without any other is left out; without it the low and the
    high digits of every column are issued, zeros among them.
    """
    places = digits(current.to(torch.int64) - reference.to(torch.int64)).permute(2, 0, 1)     # [k][place][row]
    issued = places != 0
    if not skip:
        issued[:, :2] = True
    rows = (issued << torch.arange(TILE)).sum(2)
    sent = rows != 0
    columns, plane = sent.nonzero(as_tuple=True)
    fields = zip(columns.tolist(), torch.tensor(PLANES)[plane].tolist(), map(tuple, places[sent].tolist()),
                 rows[sent].tolist(), strict=True)
    # A third of a schedule's time is this function's; calling Segment would make it half as long again.
    return [tuple.__new__(Segment, values) for values in fields]


def beats(current: torch.Tensor, reference: torch.Tensor, config: MachineConfig, skip: bool = True) -> list[Beat]:
    """The panel's segments as the encoder sends them when nothing stalls: one beat a cycle.

    `scan` columns are taken together. Slot s serves residue s // (slots / residues) of k; each residue
    sends its segments of plane 0 first, then those of plane 1, as many a cycle as it has slots, until all residues
    are through. A group without segments still costs a beat. The panel's last beat is the last of the list.
    """
    per_residue, scan, residues = config.slots_per_residue, config.scan, config.residues
    groups = [[[] for _ in range(residues)] for _ in range(0, current.shape[1], scan)]
    for segment in sorted(segments(current, reference, skip), key=attrgetter("plane")):
        groups[segment.k // scan][segment.k % residues].append(segment)
    result: list[Beat] = []
    for group in groups:
        cycles = max(1, -(-max(map(len, group)) // per_residue))
        padded = [queue + [None] * (cycles * per_residue - len(queue)) for queue in group]
        for first in range(0, cycles * per_residue, per_residue):
            result.append(tuple(chain.from_iterable(queue[first:first + per_residue] for queue in padded)))
    return result


def panel(matrix: torch.Tensor, index: int) -> torch.Tensor:
    """Rows 4*index .. 4*index+3 of (M, K), padded with zero rows to four."""
    rows = matrix[TILE * index:TILE * (index + 1)]
    return torch.nn.functional.pad(rows, (0, 0, 0, TILE - rows.shape[0]))
