# SPDX-License-Identifier: Apache-2.0
"""Law of log-domain products by leading-one detection, one- and two-step (EXION, HPCA 2025). Law only.

Stated (at second hand): sign and magnitude apart, the leading one of each operand is found, a multiplication
becomes an addition of positions; a two-step detection errs less. Not stated: what the second step keeps.
Inferred: |x| ~ 2^p + 2^q, q the leading one of what is left, so that a product is up to four shifted ones.
One step keeps (0.5, 1] of a magnitude, two steps (0.75, 1].
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from model.exact.vector.bits import leading_one


class Detection(str, Enum):
    """Which operands keep a second leading one."""

    ONE = "one"  #: neither (FACT, ISCA 2023): one shift and add a product
    TWO = "two"  #: both: up to four shifts and adds, smallest error
    LEFT = "left"  #: the left one, the activation: up to two shifts and adds, weights stay powers of two


def leading_terms(x: Tensor, steps: int) -> Tensor:
    """Signed integers (...) with only the `steps` highest ones of each magnitude left; 0 stays 0."""
    rest, kept = x.abs(), torch.zeros_like(x)
    for _ in range(steps):
        term = torch.where(rest > 0, torch.ones_like(x) << leading_one(rest.clamp(min=1)), 0)
        kept, rest = kept + term, rest - term
    return torch.where(x < 0, -kept, kept)


def log_matmul(left: Tensor, right: Tensor, detection: Detection) -> Tensor:
    """Predicted product (..., M, N) of integers (..., M, K) and (..., K, N): sums of shifted ones, exact in int64.

    The adder tree is linear, so it equals the product of the shortened operands; no multiplier is needed. Error
    of a product of magnitudes: below 75 % of it for ONE, 44 % for TWO, 63 % for LEFT, always towards zero.
    """
    steps = {Detection.ONE: (1, 1), Detection.TWO: (2, 2), Detection.LEFT: (2, 1)}[detection]
    shortened = (leading_terms(x, count).double() for x, count in zip((left, right), steps, strict=True))
    return torch.matmul(*shortened).long()


def shift_adds(left: Tensor, right: Tensor, detection: Detection) -> int:
    """Shift-and-add operations of `log_matmul` on whole operands: a cost, reported beside the work saved."""
    terms = {Detection.ONE: 1, Detection.TWO: 4, Detection.LEFT: 2}[detection]
    return terms * left.numel() * right.shape[-1]
