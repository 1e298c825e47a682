# SPDX-License-Identifier: Apache-2.0
"""What a comparison of one machine with the law says, over random jobs or captured vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hw.config import TILE
from verif.jobs import JobSet, arrays


def described(got: int, want: int, bits: int) -> str:
    """A mismatch in decimal and hex."""
    mask = (1 << bits) - 1
    return f"got {got} (0x{got & mask:x}), law says {want} (0x{want & mask:x})"


@dataclass
class Outcome:
    """What was compared on one machine, in sets of jobs or vectors; `first` is the first mismatch, "" for none."""

    name: str
    seed: int
    sets: int = 0
    tiles: int = 0
    outputs: int = 0
    mismatches: int = 0
    cycles: int = 0
    first: str = ""

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.outputs > 0 and self.mismatches == 0


def compare(outcome: Outcome, work: JobSet, got: dict[str, dict[str, np.ndarray]]) -> None:
    """Count all values and headers of a run that differ from the law; keep the first with index, hex and value."""
    for stream, rows in (("accumulators", work.accumulators), ("int8", work.int8)):
        want, mine = arrays(rows), got[stream]
        for field, values in want.items():
            if mine[field].shape != values.shape:
                raise ValueError(f"{outcome.name}: {stream} {field} is {mine[field].shape}, law {values.shape}")
            wrong = np.argwhere(mine[field] != values)
            outcome.mismatches += len(wrong)
            if len(wrong) and not outcome.first:
                place = tuple(wrong[0])
                outcome.first = (f"{outcome.name} seed {outcome.seed} set {outcome.sets} {stream} "
                                 f"tile {place[0] // TILE} row {place[0] % TILE} {field}{list(map(int, place[1:]))}: "
                                 + described(int(mine[field][place]), int(values[place]), work.config.acc_bits))
    outcome.outputs += work.outputs
