# SPDX-License-Identifier: Apache-2.0
"""Law of token similarity: the loss of letting one token stand for another, in integers. Law only.

ORBIS (2026, abstract) matches on quantised outputs of the previous timestep; which width and which measure is not
stated. AsymRnR (ICML 2025, code) uses squared Euclidean distance, ToMe (2023, code) the cosine.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from hw.errors import VidaError
from hw.numerics import round_shift, saturate

#: Fraction bits of the squared cosine.
COSINE_BITS = 16


class Measure(str, Enum):
    """Inferred for ORBIS and DiTo: the loss between two tokens; all are 0 for equal tokens and never negative."""

    SAD = "sad"  #: sum of absolute differences: the adders of CMC's unit, no multiplier
    SQUARED = "squared"  #: squared Euclidean distance: what a copy's error is; AsymRnR's
    COSINE = "cosine"  #: blind to length, as ToMe: a copy then has the wrong length; needs a division


def narrow(features: Tensor, bits: int) -> Tensor:
    """Int8 features at 8 or 4 bits: 4 is `saturate(round_shift(x, 4), 4)`. Raises `VidaError` for others.

    ORBIS states that matching is quantised; both widths are readings.
    """
    if bits not in (4, 8):
        raise VidaError(f"similarity of {bits} bits, 4 or 8 allowed")
    return features if bits == 8 else saturate(round_shift(features, 8 - bits), bits)


def losses(sources: Tensor, destinations: Tensor, measure: Measure) -> Tensor:
    """Loss (..., M, N) int64 of each of M sources (..., M, d) at each of N destinations (..., N, d), int8 values.

    COSINE is 2^16 - sign(a.b) * floor((a.b)^2 2^16 / (a.a b.b)), 0 .. 2^17, and 2^16 where one is zero; exact
    for d up to 1024. Sums pass through float64, exact below 2^53.
    """
    a, b = sources.double(), destinations.double()
    if measure is Measure.SAD:
        return torch.cdist(a, b, p=1).long()
    dot = (a @ b.transpose(-1, -2)).long()
    length_a, length_b = ((x * x).sum(-1).long() for x in (a, b))
    if measure is Measure.SQUARED:
        return length_a[..., :, None] + length_b[..., None, :] - 2 * dot
    product = length_a[..., :, None] * length_b[..., None, :]
    one = 1 << COSINE_BITS
    # (a.b)^2 reaches 48 bits: the quotient's fraction comes in two steps, so that no number leaves int64.
    square, half = dot * dot, 1 << COSINE_BITS // 2
    divisor = product.clamp(min=1)
    high, rest = square * half // divisor, square * half % divisor
    fraction = high * half + rest * half // divisor
    return torch.where(product == 0, one, one - dot.sign() * fraction)
