# SPDX-License-Identifier: Apache-2.0
"""The laws of the vector unit as a denoising step evaluates them: several times quicker, and the same bits.

Each function equals the law of its name on all that the law allows; operands are of any integer type, results int32.
A product of an accumulator and a multiplier goes through float64, which holds its 44 bits and those of its halves;
floor(x / 2^shift + 1/2) is `round_shift`. What 16 bits decide alone is looked up among the law's values.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from model.exact.vector.gelu import GeluParams, gelu16
from model.exact.vector.layernorm import (
    MODULATION_FRACTION_BITS,
    NORM_FRACTION_BITS,
    LayerNormParams,
    check_width,
    inverse_root,
)
from model.exact.vector.pwl import PwlTable
from model.exact.vector.residual import ResidualParams
from model.exact.vector.scaling import Scale
from model.exact.vector.scaling import requantise8 as requantise8_law
from model.exact.vector.softmax import check_tokens, inverse_sum, probability

_HALF = 1 << 15


def _rounded(x: Tensor, bits: int) -> Tensor:
    """Rounded half up and saturated to signed `bits`, in place."""
    return x.add_(0.5).floor_().clamp_(-(1 << bits - 1), (1 << bits - 1) - 1)


def _looked_up(values: Tensor, place: Tensor) -> Tensor:
    """Of a table (n,) at float64 places (...)."""
    return values.index_select(0, place.int().flatten()).view(place.shape)


def requantise8(x: Tensor, scale: Scale) -> Tensor:
    """As `scaling.requantise8`."""
    return _rounded(x * scale.factor, 8).int()


@lru_cache
def _gelu_values(output: Scale, table: PwlTable) -> Tensor:
    """Requantised GELU of -2^15 .. 2^15 - 1."""
    return requantise8_law(gelu16(torch.arange(-_HALF, _HALF), table), output).int()


def gelu(acc: Tensor, params: GeluParams, table: PwlTable) -> Tensor:
    """As `gelu.gelu`."""
    hidden = _rounded(acc * params.hidden.factor, 16)
    return _looked_up(_gelu_values(params.output, table), hidden.add_(_HALF))


def layernorm(x: Tensor, scale: Tensor, shift: Tensor, params: LayerNormParams, rsqrt: PwlTable) -> Tensor:
    """As `layernorm.layernorm`."""
    width = check_width(x)
    places = x.double()
    total = places.sum(-1, keepdim=True)
    squares = (places * places).sum(-1, keepdim=True)
    root, halvings = inverse_root(total.long(), squares.long(), width, params.epsilon, rsqrt)
    y = _rounded((places * width).sub_(total).mul_(torch.ldexp(root.double(), -halvings)), 16)
    gain = ((1 << MODULATION_FRACTION_BITS) + scale).double() / (1 << MODULATION_FRACTION_BITS)
    moved = shift.double() * 2.0 ** (NORM_FRACTION_BITS - MODULATION_FRACTION_BITS)
    return _rounded(_rounded(y.mul_(gain).add_(moved), 16).mul_(params.output.factor), 8).int()


def residual(x: Tensor, gate: Tensor, acc: Tensor, params: ResidualParams) -> Tensor:
    """As `residual.residual`."""
    branch = _rounded(acc * params.branch.factor, 16)
    share = gate.double() / (1 << MODULATION_FRACTION_BITS + params.fraction)
    return branch.mul_(share).add_(0.5).floor_().add_(x).clamp_(-_HALF, _HALF - 1).int()


@lru_cache
def _probabilities(exp2: PwlTable) -> Tensor:
    """Of scores 0 .. 2^16 - 1 below the row's maximum."""
    return probability(torch.arange(1 << 16), exp2).int()


def softmax(acc: Tensor, scale: Scale, exp2: PwlTable) -> tuple[Tensor, Tensor]:
    """As `softmax.softmax`."""
    check_tokens(acc)
    z = _rounded(acc * scale.factor, 16)
    p = _looked_up(_probabilities(exp2), z.amax(-1, keepdim=True) - z)
    return p, p.sum(-1)


def normalise(acc: Tensor, row_sum: Tensor, scale: Scale, reciprocal: PwlTable) -> Tensor:
    """As `softmax.normalise`."""
    inverse, halvings = inverse_sum(row_sum, reciprocal)
    mean = _rounded(acc * torch.ldexp(inverse.double(), -halvings).unsqueeze(-1), 16)
    return _rounded(mean.mul_(scale.factor), 8).int()
