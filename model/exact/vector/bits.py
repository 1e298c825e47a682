# SPDX-License-Identifier: Apache-2.0
"""Bit operations with one amount per element, which `hw.numerics` has for one amount per operator only."""

from __future__ import annotations

import torch


def leading_one(x: torch.Tensor) -> torch.Tensor:
    """Index of the highest set bit of positive int64 `x`, 0..62: floor(log2 x), by binary search."""
    index = torch.zeros_like(x)
    rest = x
    for step in (32, 16, 8, 4, 2, 1):
        above = (rest >> step) > 0
        index = index + above * step
        rest = torch.where(above, rest >> step, rest)
    return index


def round_shift_each(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """`hw.numerics.round_shift` (half up) with a shift of its own, 1..62, for every element."""
    return (x + (torch.ones_like(shift) << (shift - 1))) >> shift
