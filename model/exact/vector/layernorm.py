# SPDX-License-Identifier: Apache-2.0
"""LayerNorm without affine part, then adaLN modulation x_hat * (1 + scale) + shift, in exact sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch

from hw.errors import VidaError
from hw.numerics import round_shift, saturate
from hw.vector.operations import MODULATION_FRACTION_BITS, NORM_FRACTION_BITS, VARIANCE_BITS, WIDTH_MAX
from hw.vector.tables import RECIPROCAL_FRACTION_BITS, RSQRT_INPUT_BITS
from model.exact.vector.bits import leading_one, round_shift_each
from model.exact.vector.pwl import PwlTable
from model.exact.vector.scaling import Scale, requantise8


@dataclass(frozen=True)
class LayerNormParams:
    """Constants of one LayerNorm.

    Parameters
    ----------
    epsilon : the variance's epsilon in units of (residual scale / d)^2, 1 .. 2^54 - 1
    output : from 2^-`NORM_FRACTION_BITS` to the int8 output's scale
    """

    epsilon: int
    output: Scale

    def __post_init__(self) -> None:
        if not 1 <= self.epsilon < 1 << VARIANCE_BITS - 1:
            raise VidaError(f"LayerNorm epsilon {self.epsilon}, 1..2^{VARIANCE_BITS - 1}-1 allowed")

    @classmethod
    def from_real(cls, epsilon: float, residual_scale: float, width: int,
                  output_scale: float) -> LayerNormParams:
        """Build (offline) from the real epsilon, the scales of int16 input and int8 output, and the width."""
        units = Fraction(epsilon) * width * width / Fraction(residual_scale) ** 2
        output = Scale.from_real(float(1 / (Fraction(output_scale) * (1 << NORM_FRACTION_BITS))))
        return cls(max(1, math.floor(units + Fraction(1, 2))), output)


def normalised(x: torch.Tensor, epsilon: int, rsqrt: PwlTable) -> torch.Tensor:
    """x_hat = (x - mean) / sqrt(variance + epsilon) of int16 rows, as int16 with `NORM_FRACTION_BITS`.

    With S1 = sum x (28 bits signed) and S2 = sum x^2 (43 bits), N = d * S2 - S1^2 + epsilon (55 bits) is d^2
    times the variance, exactly: nothing is divided by d. N = m * 4^e with m in [1, 4); the table gives
    r = 2^15 / sqrt(m) in 16 bits, its input's fraction cut off after 15 bits. Then x_hat =
    `saturate(round_shift((d * x - S1) * r, 15 + e - 10), 16)`, a product of 29 bits signed and 16. Error in
    places of 2^-10: at most 0.5 + 8.2e-5 * |x_hat|, where it does not saturate.
    """
    width = check_width(x)
    total, squares = x.sum(dim=-1, keepdim=True), (x * x).sum(dim=-1, keepdim=True)
    r, shift = inverse_root(total, squares, width, epsilon, rsqrt)
    return saturate(round_shift_each((width * x - total) * r, shift), 16)


def check_width(x: torch.Tensor) -> int:
    """Channels of rows (..., d); raises `VidaError` for more than the sums' widths allow."""
    if x.shape[-1] > WIDTH_MAX:
        raise VidaError(f"LayerNorm over {x.shape[-1]} channels, at most {WIDTH_MAX} allowed")
    return x.shape[-1]


def inverse_root(total: torch.Tensor, squares: torch.Tensor, width: int, epsilon: int,
                 rsqrt: PwlTable) -> tuple[torch.Tensor, torch.Tensor]:
    """r and the shift of a product with it from S1 and S2, of their shape: see `normalised`."""
    variance = width * squares - total * total + epsilon
    lead = leading_one(variance)
    fraction_bits = RSQRT_INPUT_BITS - 1
    # The leading one goes to a fixed place, so that the fraction's does not depend on it.
    aligned = variance << (VARIANCE_BITS - lead)
    fraction = (aligned >> (VARIANCE_BITS - fraction_bits)) & ((1 << fraction_bits) - 1)
    r = rsqrt(((lead & 1) << fraction_bits) | fraction)
    return r, (lead >> 1) + (RECIPROCAL_FRACTION_BITS - NORM_FRACTION_BITS)


def modulated(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, params: LayerNormParams,
              rsqrt: PwlTable) -> torch.Tensor:
    """LayerNorm with modulation as int16, `NORM_FRACTION_BITS`: `normalised(x)` * (1 + scale) + shift.

    1 + scale has 17 bits signed; its product with x_hat, and that plus shift (moved up by 10 bits), fit 32
    bits signed and are rounded once, half up, and saturated. Error in places of 2^-10: at most
    0.5 + |1 + scale| * (error of x_hat).
    """
    gain = (1 << MODULATION_FRACTION_BITS) + scale
    y = normalised(x, params.epsilon, rsqrt) * gain + (shift << NORM_FRACTION_BITS)
    return saturate(round_shift(y, MODULATION_FRACTION_BITS), 16)


def layernorm(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, params: LayerNormParams,
              rsqrt: PwlTable) -> torch.Tensor:
    """LayerNorm with modulation, requantised: int8 (..., d).

    Parameters
    ----------
    x : (..., d) int64 holding int16: the residual stream, d <= `WIDTH_MAX`
    scale, shift : int64 holding int16 with `MODULATION_FRACTION_BITS`, broadcast against x
    rsqrt : `tables.rsqrt_table`

    Error in int8 places: at most 0.5, the multiplier's 2^-12 of the value, and the scaled error of
    `modulated`.
    """
    return requantise8(modulated(x, scale, shift, params, rsqrt), params.output)
