# SPDX-License-Identifier: Apache-2.0
"""Softmax in two halves: probabilities 0..127 before PV, division by their row sum after it."""

from __future__ import annotations

import torch

from hw.errors import VidaError
from hw.numerics import saturate
from hw.vector.operations import HALVINGS_MAX, MEAN_FRACTION_BITS, ROW_SUM_BITS, TOKENS_MAX
from hw.vector.tables import (
    EXP2_GUARD_BITS,
    EXP2_INPUT_BITS,
    RECIPROCAL_FRACTION_BITS,
    RECIPROCAL_INPUT_BITS,
)
from model.exact.vector.bits import leading_one, round_shift_each
from model.exact.vector.pwl import PwlTable
from model.exact.vector.scaling import Scale, requantise8, rescale16

#: Fraction bits of a score in log2, int16: scores reach +-32 (22 nats) before they saturate.
LOG2_FRACTION_BITS = EXP2_INPUT_BITS


def softmax(acc: torch.Tensor, scale: Scale, exp2: PwlTable) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of rows of scores relative to each row's maximum, and their sum.

    z = `rescale16(acc, scale)` is the score in log2 and d = max(z) - z, 16 bits unsigned. The table gives
    127 * 2^-fraction(d) with 8 fraction bits, which `round_shift` by 8 + min(integer(d), 8) makes p.

    Parameters
    ----------
    acc : (..., n) int64 of at most 28 bits signed, n <= `TOKENS_MAX`
    scale : s_q * s_k * log2(e) / sqrt(d_head) * 2^`LOG2_FRACTION_BITS`, one multiplier
    exp2 : `tables.exp2_table`

    Returns p (..., n) in 0..127, of which the maximum is 127, and the row sum (...,), `ROW_SUM_BITS`
    unsigned. Error of p against 127 * exp(score - maximum): at most 0.503 from z on, 0.61 from the
    accumulator on.
    """
    check_tokens(acc)
    z = rescale16(acc, scale)
    p = probability(z.amax(dim=-1, keepdim=True) - z, exp2)
    return p, p.sum(dim=-1)


def check_tokens(acc: torch.Tensor) -> None:
    """Raise `VidaError` for rows (..., n) that are longer than their sum's width allows."""
    if acc.shape[-1] > TOKENS_MAX:
        raise VidaError(f"softmax over {acc.shape[-1]} tokens, at most {TOKENS_MAX} allowed")


def probability(d: torch.Tensor, exp2: PwlTable) -> torch.Tensor:
    """p of scores that lie d (16 bits unsigned) below their row's maximum: see `softmax`."""
    halvings = (d >> LOG2_FRACTION_BITS).clamp(max=HALVINGS_MAX)
    fraction = d & ((1 << LOG2_FRACTION_BITS) - 1)
    return round_shift_each(exp2(fraction), EXP2_GUARD_BITS + halvings)


def mean(acc: torch.Tensor, row_sum: torch.Tensor, reciprocal: PwlTable) -> torch.Tensor:
    """PV over the row sum of the quantised probabilities: int16, `MEAN_FRACTION_BITS` below V's int8 place.

    The row sum is m * 2^L with m in [1, 2): leading one L, then 16 fraction bits, the rest cut off. The table
    gives r = 2^15 / m in 16 bits, and the mean is `saturate(round_shift(acc * r, 15 + L - 8), 16)`, a product
    of 44 bits signed. A mean of int8 values is at most 128, so only approximate products saturate. Error in
    places: at most 0.5 + 6e-5 * |mean|, hence 2.5, where it does not saturate. Shapes: see `normalise`.
    """
    r, shift = inverse_sum(row_sum, reciprocal)
    return saturate(round_shift_each(acc * r.unsqueeze(-1), shift.unsqueeze(-1)), 16)


def inverse_sum(row_sum: torch.Tensor, reciprocal: PwlTable) -> tuple[torch.Tensor, torch.Tensor]:
    """r and the shift of a product with it, both of the shape of `row_sum`: see `mean`."""
    lead = leading_one(row_sum)
    below = (row_sum << (ROW_SUM_BITS - 1 - lead)) & ((1 << ROW_SUM_BITS - 1) - 1)
    r = reciprocal(below >> (ROW_SUM_BITS - 1 - RECIPROCAL_INPUT_BITS))
    return r, lead + (RECIPROCAL_FRACTION_BITS - MEAN_FRACTION_BITS)


def normalise(acc: torch.Tensor, row_sum: torch.Tensor, scale: Scale, reciprocal: PwlTable) -> torch.Tensor:
    """Divide PV by the row sum and requantise: int8 (..., rows, d_head).

    Parameters
    ----------
    acc : (..., rows, d_head) int64 of at most 28 bits signed: P V
    row_sum : (..., rows), 1 .. 2^`ROW_SUM_BITS` - 1
    scale : s_v / s_out / 2^`MEAN_FRACTION_BITS`, one multiplier or one per column
    reciprocal : `tables.reciprocal_table`

    Error in int8 places: at most 0.5, 2^-12 of the value (the multiplier) and the scaled error of `mean`.
    """
    return requantise8(mean(acc, row_sum, reciprocal), scale)
