# SPDX-License-Identifier: Apache-2.0
"""Law of the PE group: the result of a job, from the definition and digit by digit."""

from __future__ import annotations

import torch

from hw.numerics import wrap
from model.exact.encode.encoder import PLANES, digits


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(..., M, K) x (..., K, N) integers -> int64, through float64, exact while |sum| < 2^53."""
    return (left.to(torch.float64) @ right.to(torch.float64)).to(torch.int64)


def matmul(current: torch.Tensor, reference: torch.Tensor | None, right: torch.Tensor,
           init: torch.Tensor | int, acc_bits: int) -> torch.Tensor:
    """Result of a job or a whole operator: `wrap(init + (current - reference) @ right, acc_bits)`.

    current, reference : (M, K) int8 (reference None is zero); right : (K, N) int8; init : (M, N) or a scalar.
    Returns (M, N) int64. Accumulators wrap, they never saturate.
    """
    difference = current.to(torch.int64) - (0 if reference is None else reference.to(torch.int64))
    return wrap(product(difference, right) + init, acc_bits)


def matmul_by_digits(current: torch.Tensor, reference: torch.Tensor | None, right: torch.Tensor,
                     init: torch.Tensor | int, acc_bits: int) -> torch.Tensor:
    """As `matmul`, digit by digit: what the multipliers do. Equal to it for every operand."""
    difference = current.to(torch.int64) - (0 if reference is None else reference.to(torch.int64))
    total = sum(product(digit, right) << 4 * plane for plane, digit in zip(PLANES, digits(difference), strict=True))
    return wrap(total + init, acc_bits)
