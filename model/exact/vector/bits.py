# SPDX-License-Identifier: Apache-2.0
"""Bit operations with one amount per element, which `hw.numerics` has for one amount per operator only."""

from __future__ import annotations

import torch

_POWERS = torch.ones(63, dtype=torch.int64) << torch.arange(63)


def leading_one(x: torch.Tensor) -> torch.Tensor:
    """Index of the highest set bit of positive `x`, 0..62: floor(log2 x), int64, by binary search."""
    return torch.bucketize(x.long().contiguous(), _POWERS, right=True) - 1


def round_shift_each(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """`hw.numerics.round_shift` (half up) with a shift of its own, 1..62, for every element."""
    return (x + (torch.ones_like(shift) << (shift - 1))) >> shift
