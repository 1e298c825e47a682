# SPDX-License-Identifier: Apache-2.0
"""The law of a denoising step: noisy video in, less noisy video out, integers from end to end.

Only the sampler's update leaves the integers, in one elementwise float64 expression that is rounded back at
once. Every matrix product goes through an `Operators`, every other operation is a law of the vector unit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hw.errors import VidaError
from hw.numerics import saturate
from model.exact.heads import join_heads, split_heads
from model.exact.network import (
    VIDEO_FRACTION_BITS,
    AttentionConstants,
    BlockConstants,
    CrossConstants,
    QuantisedNetwork,
)
from model.exact.operators import Operators, Site
from model.exact.vector.layernorm import MODULATION_FRACTION_BITS
from model.exact.vector.quick import gelu, layernorm, normalise, requantise8, residual, softmax
from model.exact.vector.tables import VectorTables
from model.networks import CROSS, SPATIAL, patchify, unpatchify


def advance(video: Tensor, acc: Tensor, velocity: Tensor, steps: int) -> Tensor:
    """Euler step of the sampler: pixels int16 (..., P) plus velocity / steps, rounded half up, saturated.

    `acc` (..., P) are the head's accumulators, `velocity` (P,) float64 the value of one of their places. The
    expression is elementwise IEEE double arithmetic in this order, hence the same on every machine.
    """
    moved = video.double() + acc.double() * (velocity * (1 << VIDEO_FRACTION_BITS) / steps)
    return saturate(torch.floor(moved + 0.5).long(), 16)


class _Block:
    """One block at one step, with its modulation vectors (3 x sub-layers, D)."""

    def __init__(
        self, index: int, network: QuantisedNetwork, vectors: Tensor, label: int, operators: Operators
    ) -> None:
        self.index, self.axes, self.heads = index, network.config.blocks[index], network.config.heads
        self.constants: BlockConstants = network.blocks[index]
        self.tables: VectorTables = network.tables
        self.vectors, self.label, self.operators = vectors.unflatten(0, (-1, 3)), label, operators

    def site(self, kind: str, axis: str) -> Site:
        return Site(kind, self.index, axis)

    def operands(self, axis: str, c: AttentionConstants, h: Tensor) -> tuple[Tensor, ...]:
        """Q, K and V (A, H, M, d) of int8 (F, T, D)."""
        site = self.site("q" if axis == CROSS else "qkv", axis)
        acc = self.operators.linear(site, h, c.qkv.right, c.qkv.bias)
        parts = self.operators.requantised(site, acc, c.qkv_scale).split(h.shape[-1], dim=-1)
        matrices = tuple(split_heads(part, self.heads, axis) for part in parts)
        if not isinstance(c, CrossConstants):
            return matrices
        condition = (split_heads(part[None], self.heads, axis) for part in c.context[self.label])
        return *matrices, *(part.expand(len(h), -1, -1, -1) for part in condition)

    def attend(self, axis: str, c: AttentionConstants, h: Tensor) -> Tensor:
        """Int8 (F, T, D) to the accumulators (F, T, D) of the output projection."""
        run = self.operators
        q, k, v = self.operands(axis, c, h)
        scores = run.attention(self.site("scores", axis), q, k.transpose(-1, -2))
        p, row_sum = softmax(scores, c.softmax, self.tables.exp2)
        values = run.attention(self.site("values", axis), p, v)
        mixed = join_heads(normalise(values, row_sum, c.normalise, self.tables.reciprocal), len(h), axis)
        return run.linear(self.site("out", axis), mixed, c.out.right, c.out.bias)

    def feed(self, h: Tensor) -> Tensor:
        """Int8 (F, T, D) to the accumulators (F, T, D) of the MLP's second product."""
        c, run = self.constants, self.operators
        axis = self.axes[0] if len(self.axes) == 1 else SPATIAL
        hidden = gelu(run.linear(self.site("fc1", axis), h, c.fc1.right, c.fc1.bias), c.gelu, self.tables.gelu)
        return run.linear(self.site("fc2", axis), hidden, c.fc2.right, c.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The residual stream (F, T, D), int16, through the block."""
        c, rsqrt = self.constants, self.tables.rsqrt
        for axis, attention, (shift, scale, gate) in zip(self.axes, c.attentions, self.vectors[:-1], strict=True):
            h = layernorm(x, scale, shift, attention.norm1, rsqrt)
            x = residual(x, gate, self.attend(axis, attention, h), attention.out_residual)
        shift, scale, gate = self.vectors[-1]
        return residual(x, gate, self.feed(layernorm(x, scale, shift, c.norm2, rsqrt)), c.fc2_residual)


def denoise(
    network: QuantisedNetwork, video: Tensor, label: int, step: int, steps: int, operators: Operators
) -> Tensor:
    """One denoising step `step` of `steps`: a video (F, [C,] H, W) int16 to the next, both held as int64.

    Raises `VidaError` for a number of steps or a class whose modulation vectors the network does not hold.
    """
    if steps not in network.modulation:
        raise VidaError(f"{steps} steps: this checkpoint holds {sorted(network.modulation)}")
    if not 0 <= label < network.config.classes:
        raise VidaError(f"class {label}: this network knows 0..{network.config.classes - 1}")
    vectors = network.modulation[steps][step, label]
    operators.begin(step)
    patches = patchify(video[None], network.config)[0]  # (F, T, P)
    pixels = requantise8(patches, network.embed_scale)
    acc = operators.linear(Site("embed", 0, "spatial"), pixels, network.embed.right, network.embed.bias)
    one = torch.tensor(1 << MODULATION_FRACTION_BITS)
    x = residual(network.position, one, acc, network.embed_residual)  # (F, T, D)
    used = 0
    for index, axes in enumerate(network.config.blocks):
        mine = vectors[used : used + 3 * (len(axes) + 1)]
        x = _Block(index, network, mine, label, operators).forward(x)
        used += len(mine)
    h = layernorm(x, vectors[-1], vectors[-2], network.norm, network.tables.rsqrt)
    acc = operators.linear(Site("head", 0, "spatial"), h, network.head.right, network.head.bias)
    return unpatchify(advance(patches, acc, network.velocity, steps)[None], network.config)[0]
