# SPDX-License-Identifier: Apache-2.0
"""A denoising step in float whose products a method may replace: the operands are in int8 places, but not rounded.

Follows `model.exact.step` operation by operation with the float network's weights, exact softmax, GELU and
LayerNorm, in float64; no value is rounded or saturated. Every operand is divided by the static scale of the committed
integer network, so that a threshold in int8 places means the same to both. Scales cancel: a run of which no method
changes anything is the float network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hw.vector.operations import MEAN_FRACTION_BITS, NORM_FRACTION_BITS
from hw.vector.tables import GELU_FRACTION_BITS
from model.exact.heads import join_heads, split_heads
from model.exact.network import VIDEO_FRACTION_BITS, AttentionConstants, QuantisedNetwork
from model.exact.operators import Operators, Site
from model.exact.vector.layernorm import LayerNormParams
from model.networks import CROSS, SPATIAL, patchify, unpatchify
from model.transformer import Attention, Block, VideoTransformer, normalise

#: The largest probability of a row, in places.
_ONE = 127


def norm_places(params: LayerNormParams) -> float:
    """Real value of a place of what a LayerNorm gives."""
    return 1 / (params.output.factor.item() * (1 << NORM_FRACTION_BITS))


@dataclass(frozen=True)
class FloatLinear:
    """A layer on operands in places of `operand`: weights (K, N) up to 127, bias (N,), real value of a sum's place."""

    right: Tensor
    bias: Tensor
    operand: float
    places: Tensor

    @classmethod
    def of(cls, layer: nn.Linear, operand: float) -> FloatLinear:
        """As `model.quantise.quantise_linear`, unrounded."""
        weight = layer.weight.detach().double()
        scale = weight.abs().amax(dim=1).clamp(min=1e-9) / 127
        places = scale * operand
        return cls((weight / scale[:, None]).t().contiguous(), layer.bias.detach().double() / places, operand, places)

    def run(self, operators: Operators, site: Site, x: Tensor) -> Tensor:
        """Real x (F, T, K) to real (F, T, N)."""
        return operators.linear(site, x / self.operand, self.right, self.bias) * self.places


class FloatAttention:
    """One attention sub-layer of block `index`."""

    def __init__(self, index: int, layer: Attention, constants: AttentionConstants, context: Tensor | None) -> None:
        self.index, self.axis, self.heads = index, layer.axis, layer.heads
        self.kind = "q" if self.axis == CROSS else "qkv"
        dim = layer.out.in_features
        self.qkv = FloatLinear.of(getattr(layer, self.kind), norm_places(constants.norm1))
        widths = zip(self.qkv.places.split(dim), constants.qkv_scale.factor.split(dim), strict=True)
        scales = [(places.sum() / factor.sum()).item() for places, factor in widths]
        self.context = None
        if self.axis == CROSS:  # of all classes (classes, C, D), K and V
            self.context = [part.double() for part in layer.kv(context).chunk(2, dim=-1)]
            scales += [part.abs().max().item() / 127 for part in self.context]
        self.scales = scales
        self.log2 = scales[0] * scales[1] * math.log2(math.e) / math.sqrt(dim // self.heads)
        mixed = scales[2] / (constants.normalise.factor.item() * (1 << MEAN_FRACTION_BITS))
        self.out = FloatLinear.of(layer.out, mixed)

    def _site(self, kind: str) -> Site:
        return Site(kind, self.index, self.axis)

    def operands(self, h: Tensor, label: int, run: Operators) -> list[Tensor]:
        """Q, K and V (A, H, M, d) in places."""
        parts = list(self.qkv.run(run, self._site(self.kind), h).split(h.shape[-1], dim=-1))
        frames = [1] * len(parts)
        if self.context is not None:
            parts += [part[label][None] for part in self.context]
            frames += [len(h), len(h)]
        matrices = (split_heads(part / scale, self.heads, self.axis) for part, scale in zip(parts, self.scales))
        return [each.repeat_interleave(count, 0) for each, count in zip(matrices, frames, strict=True)]

    def forward(self, h: Tensor, label: int, run: Operators) -> Tensor:
        """Real (F, T, D) to real (F, T, D)."""
        q, k, v = self.operands(h, label, run)
        score = run.attention(self._site("scores"), q, k.transpose(-1, -2)) * self.log2
        p = _ONE * torch.exp2(score - score.amax(-1, keepdim=True))
        mean = run.attention(self._site("values"), p, v) / p.sum(-1, keepdim=True)
        mixed = join_heads(mean * self.scales[2], len(h), self.axis)
        return self.out.run(run, self._site("out"), mixed)


class FloatBlock:
    """One block of the float network."""

    def __init__(self, index: int, block: Block, network: QuantisedNetwork, context: Tensor | None) -> None:
        constants = network.blocks[index]
        axes = network.config.blocks[index]
        self.attentions = [FloatAttention(index, layer, c, context)
                           for layer, c in zip(block.attention.values(), constants.attentions, strict=True)]
        hidden = 1 / (constants.gelu.output.factor.item() * (1 << GELU_FRACTION_BITS))
        self.fc1 = FloatLinear.of(block.fc1, norm_places(constants.norm2))
        self.fc2 = FloatLinear.of(block.fc2, hidden)
        self.sites = [Site(kind, index, axes[0] if len(axes) == 1 else SPATIAL) for kind in ("fc1", "fc2")]

    def forward(self, x: Tensor, vectors: Tensor, label: int, run: Operators) -> Tensor:
        """Tokens (F, T, D) by modulation `vectors` (sub-layers, 3, D) to tokens."""
        for attention, (shift, scale, gate) in zip(self.attentions, vectors[:-1], strict=True):
            x = x + gate * attention.forward(normalise(x) * (1 + scale) + shift, label, run)
        shift, scale, gate = vectors[-1]
        hidden = self.fc1.run(run, self.sites[0], normalise(x) * (1 + scale) + shift)
        return x + gate * self.fc2.run(run, self.sites[1], functional.gelu(hidden, approximate="tanh"))


class FloatTwin:
    """The float `network` with the places of the integer one, `quantised`."""

    @torch.no_grad()
    def __init__(self, network: VideoTransformer, quantised: QuantisedNetwork) -> None:
        self.network, self.quantised = network, quantised
        context = network.context(torch.arange(network.config.classes))
        self.blocks = [FloatBlock(index, block, quantised, context) for index, block in enumerate(network.blocks)]
        pixel = 1 / (quantised.embed_scale.factor.item() * (1 << VIDEO_FRACTION_BITS))
        self.embed = FloatLinear.of(network.embed, pixel)
        self.head = FloatLinear.of(network.head, norm_places(quantised.norm))
        self.position = (network.space + network.time[:, None]).double()

    @torch.no_grad()
    def velocity(self, video: Tensor, t: float, label: int, run: Operators) -> Tensor:
        """Float64 velocity at real `video` (F, [C,] H, W) of class `label` at time `t`, by the products of `run`."""
        condition = self.network.condition(torch.tensor([t]), torch.tensor([label]))
        x = self.embed.run(run, Site("embed", 0, SPATIAL), patchify(video[None], self.network.config)[0])
        x = x + self.position
        for block, layer in zip(self.network.blocks, self.blocks, strict=True):
            vectors = block.modulation(condition)[0].double().reshape(-1, 3, x.shape[-1])
            x = layer.forward(x, vectors, label, run)
        shift, scale = self.network.modulation(condition)[0].double().chunk(2)
        patches = self.head.run(run, Site("head", 0, SPATIAL), normalise(x) * (1 + scale) + shift)
        return unpatchify(patches[None], self.network.config)[0]
