# SPDX-License-Identifier: Apache-2.0
"""The one place where an operator of the integer step multiplies matrices, so that a method can replace it.

`Operators` computes every product from the whole operands (reference `none`). The methods of `model.methods`
derive from it and compute the same or an approximate product from differences to a reference operand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.exact.encode.nibbles import Nibbles
from model.exact.traffic import Traffic
from model.exact.vector.quick import requantise8
from model.exact.vector.scaling import Scale


@dataclass(frozen=True)
class Site:
    """Which operator of the network.

    Members
    -------
    kind : "qkv", "scores", "values", "out", "fc1", "fc2", "embed" or "head", and "q", cross-attention's projection
    layer : index of its block, 0 for embed and head
    block : the attention's axis, "spatial", "temporal", "full" or "cross"; of an MLP that of its block's attention,
        "spatial" where that has several, and for embed and head
    """

    kind: str
    layer: int
    block: str


@dataclass(frozen=True)
class Job:
    """One product as the array computes it: `result = init + (current - reference) @ right`, in int64.

    `reference_kind` is the method's: "none", "timestep" or "frame" (of which the first step or frame has
    zeros for a reference operand); `product` is "single", "first", "second" or "one"; `start` is the index of
    the first item along the leading axis.

    Linear operators have leading axis frame; spatial and cross products (frame, head); temporal products (token,
    head); full ones (1, head).
    `current` and `reference` are (..., M, K), `right` (..., K, N) or (K, N), `init` and `result` (..., M, N).
    """

    site: Site
    step: int
    reference_kind: str
    product: str
    start: int
    current: Tensor
    reference: Tensor
    right: Tensor
    init: Tensor
    result: Tensor


Recorder = Callable[[Job], None]


#: Columns k up to which sums of 9-bit by 8-bit products stay below 2^24, where float32 is exact.
FLOAT32_COLUMNS = (1 << 24) // (255 * 128)


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """Product of an int8 operand or a difference of two (..., M, K) and an int8 one (..., K, N), of the left's type.

    Through float32 while every partial sum stays below 2^24, through float64 beyond: exact.
    """
    real = torch.float32 if left.shape[-1] <= FLOAT32_COLUMNS else torch.float64
    return (left.to(real) @ right.to(real)).to(left.dtype)


class Operators:
    """Products from whole operands. One object serves one sampling run; `record` sees every job.

    Parameters
    ----------
    record : called with every `Job`; None records nothing

    Members
    -------
    reference : what operands are taken differences to, as `Job.reference_kind`
    nibbles : how the digits of a difference are counted
    """

    reference = "none"
    nibbles = Nibbles.DIGITS

    def __init__(self, record: Recorder | None = None) -> None:
        self.record = record
        self.step = 0

    def begin(self, step: int) -> None:
        """Say which denoising step comes next."""
        self.step = step

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """Activations (F, T, K) times weights (K, N) plus bias (N,): accumulators (F, T, N)."""
        return self.run(site, "single", left, None, right, bias.to(left.dtype).expand(*left.shape[:-1], -1))

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """Activations (A, H, M, K) times (A, H, K, N), A = frames, token positions or 1: (A, H, M, N).

        In cross-attention `right` is of the condition tokens: the same in all frames and at all steps.
        """
        return self.run(site, "single", left, None, right, left.new_zeros(()))

    def requantised(self, site: Site, acc: Tensor, scale: Scale) -> Tensor:
        """Accumulators (F, T, N) of a linear operator as the int8 operands of the products that follow."""
        return requantise8(acc, scale)

    def traffic(self, site: Site) -> Traffic | None:
        """What an operator moves at this step where its jobs do not show it; None where they do."""
        return None

    def run(
        self,
        site: Site,
        product: str,
        current: Tensor,
        reference: Tensor | None,
        right: Tensor,
        init: Tensor,
        start: int = 0,
    ) -> Tensor:
        """Compute one job and record it; `reference` None means zeros."""
        difference = current if reference is None else current - reference
        result = init + matmul(difference, right)
        if self.record is not None:
            reference = torch.zeros_like(current) if reference is None else reference
            tensors = (current, reference, right, init.expand(result.shape), result)
            names = (site, self.step, self.reference, product, start)
            self.record(Job(*names, *(tensor.long() for tensor in tensors)))
        return result
