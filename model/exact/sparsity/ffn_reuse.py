# SPDX-License-Identifier: Apache-2.0
"""Law of EXION's FFN-Reuse (Heo et al., HPCA 2025, inter-iteration sparsity). Law only.

Stated (at second hand): a dense iteration computes the whole FFN; the non-linearity's output is compared with a
threshold, and a bitmask made: larger magnitudes are computed again in the N sparse iterations that follow,
smaller ones keep their values. The threshold is found at run time; how is not stated: `value_mask` takes one
as given, `quantile_threshold` sets it from the share that is to be computed. What the second layer does is
not stated either: `SecondLayer`.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from hw.errors import VidaError

#: Magnitudes of an int8 value: 0..128.
_MAGNITUDES = 129


class SecondLayer(str, Enum):
    """Inferred: how the FFN's second product uses the mask. Both give the same integers."""

    DELTA = "delta"  #: adds (new - kept) W2 of masked elements to the dense iteration's sums, which must be carried
    WHOLE = "whole"  #: multiplies every element again: nothing carried, nothing saved in the second layer


def is_dense(step: int, sparse_steps: int, warm_up: int = 0) -> bool:
    """Whether iteration `step` is dense: the first `warm_up`, then one before every `sparse_steps` sparse ones.

    Raises `VidaError` for negative numbers. A warm-up is not the paper's; 0 leaves it out.
    """
    if min(step, sparse_steps, warm_up) < 0:
        raise VidaError(f"step {step}, {sparse_steps} sparse steps, warm-up {warm_up}: none may be negative")
    return step < warm_up or (step - warm_up) % (sparse_steps + 1) == 0


def value_mask(hidden: Tensor, threshold: int) -> Tensor:
    """Bitmask (...) of int8 activations (...): True where |value| > threshold and is computed again.

    Under threshold 0 only zeros keep their values, under 128 all do. Raises `VidaError` outside 0..128.
    """
    if not 0 <= threshold < _MAGNITUDES:
        raise VidaError(f"threshold {threshold}, 0..{_MAGNITUDES - 1} allowed")
    return hidden.abs() > threshold


def quantile_threshold(hidden: Tensor, permille: int) -> int:
    """The smallest threshold that leaves at most `permille` thousandths of all elements of `hidden` above it.

    From a histogram of magnitudes: elements of one magnitude stay together, so fewer may lie above. A share of
    0 gives the largest magnitude, 1000 gives 0. Raises `VidaError` outside 0..1000.
    """
    if not 0 <= permille <= 1000:
        raise VidaError(f"share {permille} permille, 0..1000 allowed")
    allowed = hidden.numel() * permille // 1000
    above = hidden.numel() - torch.bincount(hidden.abs().flatten(), minlength=_MAGNITUDES).cumsum(0)
    return int((above > allowed).sum())


def reuse(new: Tensor, kept: Tensor, mask: Tensor) -> Tensor:
    """Activations of a sparse iteration: `new` where the mask says so, `kept` of the dense iteration elsewhere."""
    return torch.where(mask, new, kept)


def second_layer_delta(sums: Tensor, hidden: Tensor, kept: Tensor, right: Tensor) -> Tensor:
    """`sums` (..., N) of the dense iteration plus (hidden - kept) (..., K) times `right` (K, N), in int64.

    Equals `hidden @ right + bias` bit for bit when `sums = kept @ right + bias`.
    """
    return sums + ((hidden - kept).double() @ right.double()).long()
