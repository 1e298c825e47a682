# SPDX-License-Identifier: Apache-2.0
"""GELU (tanh form, Hendrycks and Gimpel 2016, section 2) from accumulators to int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from hw.vector.tables import GELU_FRACTION_BITS, GELU_INPUT_BITS
from model.exact.vector.pwl import PwlTable
from model.exact.vector.scaling import Scale, requantise8, rescale16


@dataclass(frozen=True)
class GeluParams:
    """Scales of one GELU.

    Parameters
    ----------
    hidden : from the accumulator, per column, to int16 with `GELU_FRACTION_BITS`
    output : from there to the int8 output's scale
    """

    hidden: Scale
    output: Scale

    @classmethod
    def from_real(cls, acc_scales: Sequence[float], output_scale: float) -> GeluParams:
        """Build (offline) from the real value of an accumulator's place, per column, and of an int8 place."""
        one = 1 << GELU_FRACTION_BITS
        return cls(Scale.from_real([scale * one for scale in acc_scales]),
                   Scale.from_real(float(1 / (Fraction(output_scale) * one))))


def gelu16(h: torch.Tensor, table: PwlTable) -> torch.Tensor:
    """GELU of int16 h, +-16 with `GELU_FRACTION_BITS`, as int16: relu(h) - table(min(|h|, 4 - 2^-11)).

    Error: at most 0.9 places of 2^-11 (4.4e-4), over all 65536 inputs.
    """
    return h.clamp(min=0) - table(h.abs().clamp(max=(1 << GELU_INPUT_BITS) - 1))


def gelu(acc: torch.Tensor, params: GeluParams, table: PwlTable) -> torch.Tensor:
    """GELU of FC1's accumulators, requantised: int8 (..., d).

    Parameters
    ----------
    acc : (..., d) int64 of at most 28 bits signed, bias included
    table : `tables.gelu_table`

    Error against GELU of the real accumulator, before `output`: at most 1.5 places of 2^-11 and the hidden
    multipliers' relative error of |x|; beyond +-16 it saturates.
    """
    return requantise8(gelu16(rescale16(acc, params.hidden), table), params.output)
