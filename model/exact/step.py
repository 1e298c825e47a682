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
from model.exact.network import VIDEO_FRACTION_BITS, BlockConstants, QuantisedNetwork
from model.exact.operators import Operators, Site
from model.exact.vector.gelu import gelu
from model.exact.vector.layernorm import MODULATION_FRACTION_BITS, layernorm
from model.exact.vector.residual import residual
from model.exact.vector.scaling import requantise8
from model.exact.vector.softmax import normalise, softmax
from model.exact.vector.tables import VectorTables
from model.networks import patchify, unpatchify


def advance(video: Tensor, acc: Tensor, velocity: Tensor, steps: int) -> Tensor:
    """Euler step of the sampler: pixels int16 (..., P) plus velocity / steps, rounded half up, saturated.

    `acc` (..., P) are the head's accumulators, `velocity` (P,) float64 the value of one of their places. The
    expression is elementwise IEEE double arithmetic in this order, hence the same on every machine.
    """
    moved = video.double() + acc.double() * (velocity * (1 << VIDEO_FRACTION_BITS) / steps)
    return saturate(torch.floor(moved + 0.5).long(), 16)


class _Block:
    """One block at one step, with its modulation vectors (6, D)."""

    def __init__(self, index: int, network: QuantisedNetwork, vectors: Tensor, operators: Operators) -> None:
        self.index, self.axis, self.heads = index, network.config.blocks[index], network.config.heads
        self.constants: BlockConstants = network.blocks[index]
        self.tables: VectorTables = network.tables
        self.vectors, self.operators = vectors, operators

    def site(self, kind: str) -> Site:
        return Site(kind, self.index, self.axis)

    def split(self, x: Tensor) -> Tensor:
        """Channels (F, T, D) to (F, H, T, d) for spatial attention, (T, H, F, d) for temporal."""
        heads = x.reshape(*x.shape[:2], self.heads, -1)  # (F, T, H, d)
        return heads.permute(0, 2, 1, 3) if self.axis == "spatial" else heads.permute(1, 2, 0, 3)

    def join(self, x: Tensor) -> Tensor:
        """The inverse of `split`."""
        heads = x.permute(0, 2, 1, 3) if self.axis == "spatial" else x.permute(2, 0, 1, 3)  # (F, T, H, d)
        return heads.reshape(*heads.shape[:2], -1)  # (F, T, D)

    def attend(self, h: Tensor) -> Tensor:
        """Int8 (F, T, D) to the accumulators (F, T, D) of the output projection."""
        c, run = self.constants, self.operators
        qkv = requantise8(run.linear(self.site("qkv"), h, c.qkv.right, c.qkv.bias), c.qkv_scale)
        q, k, v = (self.split(part) for part in qkv.chunk(3, dim=-1))
        scores = run.attention(self.site("scores"), q, k.transpose(-1, -2))
        p, row_sum = softmax(scores, c.softmax, self.tables.exp2)
        values = run.attention(self.site("values"), p, v)
        mixed = self.join(normalise(values, row_sum, c.normalise, self.tables.reciprocal))
        return run.linear(self.site("out"), mixed, c.out.right, c.out.bias)

    def feed(self, h: Tensor) -> Tensor:
        """Int8 (F, T, D) to the accumulators (F, T, D) of the MLP's second product."""
        c, run = self.constants, self.operators
        hidden = gelu(run.linear(self.site("fc1"), h, c.fc1.right, c.fc1.bias), c.gelu, self.tables.gelu)
        return run.linear(self.site("fc2"), hidden, c.fc2.right, c.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The residual stream (F, T, D), int16, through the block."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.vectors
        c, rsqrt = self.constants, self.tables.rsqrt
        x = residual(x, gate1, self.attend(layernorm(x, scale1, shift1, c.norm1, rsqrt)), c.out_residual)
        return residual(x, gate2, self.feed(layernorm(x, scale2, shift2, c.norm2, rsqrt)), c.fc2_residual)


def denoise(
    network: QuantisedNetwork, video: Tensor, label: int, step: int, steps: int, operators: Operators
) -> Tensor:
    """One denoising step `step` of `steps`: pixels (F, H, W) int16 to pixels int16, both held as int64.

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
    for index in range(len(network.blocks)):
        x = _Block(index, network, vectors[6 * index : 6 * index + 6], operators).forward(x)
    h = layernorm(x, vectors[-1], vectors[-2], network.norm, network.tables.rsqrt)
    acc = operators.linear(Site("head", 0, "spatial"), h, network.head.right, network.head.bias)
    return unpatchify(advance(patches, acc, network.velocity, steps)[None], network.config)[0]
