# SPDX-License-Identifier: Apache-2.0
"""The gated residual: x + gate * branch on the int16 stream, straight from the branch's accumulators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from hw.errors import VidaError
from hw.numerics import round_shift, saturate
from hw.vector.operations import BRANCH_FRACTION_MAX, MODULATION_FRACTION_BITS
from model.exact.vector.scaling import Scale, rescale16


@dataclass(frozen=True)
class ResidualParams:
    """Scales of one residual addition.

    Parameters
    ----------
    branch : from the accumulator, per column, to int16 places of the stream's scale / 2^fraction
    fraction : 0..`BRANCH_FRACTION_MAX`
    """

    branch: Scale
    fraction: int

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= BRANCH_FRACTION_MAX:
            raise VidaError(f"branch fraction {self.fraction}, 0..{BRANCH_FRACTION_MAX} allowed")

    @classmethod
    def from_real(cls, acc_scales: Sequence[float], residual_scale: float,
                  branch_absmax: float) -> ResidualParams:
        """Build (offline) from the real values of an accumulator's place, per column, and of the stream's.

        The fraction is the finest with which the branch's largest magnitude, `branch_absmax`, fits int16.
        """
        places = Fraction(branch_absmax) / Fraction(residual_scale)
        fraction = 0
        while fraction < BRANCH_FRACTION_MAX and places * (2 << fraction) <= 32767:
            fraction += 1
        one = Fraction(1 << fraction) / Fraction(residual_scale)
        return cls(Scale.from_real([float(Fraction(scale) * one) for scale in acc_scales]), fraction)


def residual(x: torch.Tensor, gate: torch.Tensor, acc: torch.Tensor, params: ResidualParams) -> torch.Tensor:
    """`saturate(x + round_shift(gate * b, 12 + fraction), 16)` with b = `rescale16(acc)`.

    Parameters
    ----------
    x : (..., d) int64 holding int16: the residual stream
    gate : int64 holding int16 with `MODULATION_FRACTION_BITS`, broadcast against x; gate * b has 32 bits
    acc : (..., d) int64 of at most 28 bits signed: the branch's last product, bias included

    Error in places of the stream: at most 0.5 + |gate| * (0.5 + error of the multiplier * |b|) / 2^fraction.
    """
    branch = rescale16(acc, params.branch)
    return saturate(x + round_shift(gate * branch, MODULATION_FRACTION_BITS + params.fraction), 16)
