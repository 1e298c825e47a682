# SPDX-License-Identifier: Apache-2.0
"""Real scales as integers (offline), and the accumulator's way to int16 and int8 (run time)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch

from hw.errors import VidaError
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX, requantise, round_shift, saturate


@dataclass(frozen=True)
class Scale:
    """A factor as integers, multiplier / 2^shift: one multiplier or one per column, one shift for all.

    Parameters
    ----------
    multipliers : unsigned `MULTIPLIER_BITS` each; a single one serves all columns
    shift : 0..`SHIFT_MAX`

    Raises `VidaError` where one does not fit.
    """

    multipliers: tuple[int, ...]
    shift: int

    def __post_init__(self) -> None:
        if not self.multipliers:
            raise VidaError("a scale has 0 multipliers, at least 1 needed")
        for multiplier in self.multipliers:
            if not 0 <= multiplier < 1 << MULTIPLIER_BITS:
                raise VidaError(f"multiplier {multiplier}, unsigned {MULTIPLIER_BITS} bits allowed")
        if not 0 <= self.shift <= SHIFT_MAX:
            raise VidaError(f"shift {self.shift}, 0..{SHIFT_MAX} allowed")

    @classmethod
    def from_real(cls, scales: float | Sequence[float]) -> Scale:
        """Build from one real scale, or from one per column (offline)."""
        if isinstance(scales, (int, float)):
            scales = [scales]
        return cls(*scales_to_multipliers(scales))

    @cached_property
    def multiplier(self) -> torch.Tensor:
        """The multipliers as int64, broadcast over the last axis."""
        return torch.tensor(self.multipliers, dtype=torch.int64)

    @cached_property
    def factor(self) -> torch.Tensor:
        """What the scale stands for, float64 and exact, broadcast over the last axis."""
        return self.multiplier.double() / (1 << self.shift)


def scale_to_multiplier(real_scale: float, multiplier_bits: int = MULTIPLIER_BITS) -> tuple[int, int]:
    """One real scale as (multiplier, shift): see `scales_to_multipliers`."""
    multipliers, shift = scales_to_multipliers([real_scale], multiplier_bits)
    return multipliers[0], shift


def scales_to_multipliers(scales: Sequence[float],
                          multiplier_bits: int = MULTIPLIER_BITS) -> tuple[tuple[int, ...], int]:
    """Real scales (Python floats) as one multiplier each and one shift: multiplier / 2^shift (offline).

    The shift is the largest that keeps every multiplier below 2^multiplier_bits, at most `SHIFT_MAX`;
    multipliers are rounded half up in exact rational arithmetic. Error of a scale s: at most 2^-(shift+1),
    which for the largest one is at most 2^-multiplier_bits of itself (unless `SHIFT_MAX` holds). A scale of 0
    is a dead column.

    Raises `VidaError` for a negative or non-finite scale, all zeros, or one that needs a negative shift.
    """
    for scale in scales:
        if not math.isfinite(scale) or scale < 0:
            raise VidaError(f"scale {scale}, a finite number of at least 0 allowed")
    largest = max(Fraction(scale) for scale in scales)
    if largest == 0:
        raise VidaError("every scale is 0, at least one positive needed")
    shift = min(SHIFT_MAX, multiplier_bits - math.frexp(float(largest))[1])
    if _rounded(largest, shift) >> multiplier_bits:
        shift -= 1
    if shift < 0:
        raise VidaError(f"scale {float(largest)}, below {(1 << multiplier_bits) - 0.5} allowed")
    return tuple(_rounded(Fraction(scale), shift) for scale in scales), shift


def _rounded(scale: Fraction, shift: int) -> int:
    return math.floor(scale * Fraction(2) ** shift + Fraction(1, 2))


def rescale16(acc: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Accumulators (..., d) to int16: `saturate(round_shift(acc * multiplier, shift), 16)`.

    `acc` has at most 28 bits signed, the product 40. Error against acc * multiplier / 2^shift: at most half a
    place, where it does not saturate.
    """
    return saturate(round_shift(acc * scale.multiplier, scale.shift), 16)


def requantise8(x: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Accumulators or int16 (..., d) to int8: `hw.numerics.requantise` by a `Scale`."""
    return requantise(x, scale.multiplier, scale.shift)
