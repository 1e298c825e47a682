# SPDX-License-Identifier: Apache-2.0
"""The piecewise-linear table unit: a multiplier and 64 rows behind exp2, reciprocal, its root and GELU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from hw.errors import VidaError
from hw.numerics import round_shift

#: Address bits: every function has 2^6 = 64 rows, so that one memory shape serves all.
SEGMENT_BITS = 6
#: A row's base, unsigned, in units of 2^-shift of the output's last place.
BASE_BITS = 28
#: A row's slope, signed, in units of 2^-shift output places per input place.
SLOPE_BITS = 13
#: Widest input: 6 address bits and a remainder of 10.
INPUT_BITS_MAX = 16
#: The output, unsigned.
OUTPUT_BITS = 16


@dataclass(frozen=True)
class PwlTable:
    """Contents of the table unit for one function over 0 .. 2^input_bits - 1 (no block does it yet).

    The top `SEGMENT_BITS` of the input choose a row, the rest is the remainder r (at most 10 bits):
    `y = round_shift(base[row] + slope[row] * r, shift)`, rounded once, half up.

    Parameters
    ----------
    bases, slopes : 64 integers each, unsigned `BASE_BITS` and signed `SLOPE_BITS` wide
    input_bits : width of the unsigned input, `SEGMENT_BITS` .. `INPUT_BITS_MAX`
    shift : fraction bits of base and slope, 1..12

    Raises `VidaError` for a row that does not fit its width.
    """

    bases: tuple[int, ...]
    slopes: tuple[int, ...]
    input_bits: int
    shift: int

    def __post_init__(self) -> None:
        rows = len(self.bases), len(self.slopes)
        if rows != (1 << SEGMENT_BITS,) * 2:
            raise VidaError(f"table of {rows[0]} bases, {rows[1]} slopes; {1 << SEGMENT_BITS} of each needed")
        if not SEGMENT_BITS <= self.input_bits <= INPUT_BITS_MAX:
            raise VidaError(f"table input {self.input_bits} bits, {SEGMENT_BITS}..{INPUT_BITS_MAX} allowed")
        if not 1 <= self.shift <= BASE_BITS - OUTPUT_BITS:
            raise VidaError(f"table shift {self.shift}, 1..{BASE_BITS - OUTPUT_BITS} allowed")
        for base in self.bases:
            if not 0 <= base < 1 << BASE_BITS:
                raise VidaError(f"table base {base}, unsigned {BASE_BITS} bits allowed")
        for slope in self.slopes:
            if not -(1 << SLOPE_BITS - 1) <= slope < 1 << SLOPE_BITS - 1:
                raise VidaError(f"table slope {slope}, signed {SLOPE_BITS} bits allowed")

    @property
    def remainder_bits(self) -> int:
        """Input bits below the row's address."""
        return self.input_bits - SEGMENT_BITS

    @cached_property
    def _rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(self.bases, dtype=torch.int64), torch.tensor(self.slopes, dtype=torch.int64)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate at `x` (any shape, unsigned `input_bits`): unsigned `OUTPUT_BITS`.

        The product has at most 23 bits signed, the sum 30 bits signed before its rounding.
        """
        bases, slopes = self._rows
        row = x >> self.remainder_bits
        remainder = x & ((1 << self.remainder_bits) - 1)
        return round_shift(bases[row] + slopes[row] * remainder, self.shift)
