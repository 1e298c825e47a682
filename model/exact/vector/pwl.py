# SPDX-License-Identifier: Apache-2.0
"""The piecewise-linear table unit: a multiplier and 64 rows behind exp2, reciprocal, its root and GELU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from hw.numerics import round_shift
from hw.vector.tables import Table


@dataclass(frozen=True)
class PwlTable(Table):
    """The law of `hw.vector.pwl.TableUnit`: its contents for one function (`hw.vector.tables.Table`), evaluated."""

    @cached_property
    def _values(self) -> torch.Tensor:
        """Of every input: a look-up is much quicker than what it stands for, and bit for bit the same."""
        bases, slopes = (torch.tensor(rows, dtype=torch.int64) for rows in (self.bases, self.slopes))
        x = torch.arange(1 << self.input_bits)
        row, remainder = x >> self.remainder_bits, x & ((1 << self.remainder_bits) - 1)
        return round_shift(bases[row] + slopes[row] * remainder, self.shift)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate at `x` (any shape, unsigned `input_bits`): unsigned `OUTPUT_BITS`.

        The product has at most 23 bits signed, the sum 30 bits signed before its rounding.
        """
        return self._values[x]
