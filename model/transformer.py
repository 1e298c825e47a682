# SPDX-License-Identifier: Apache-2.0
"""Video diffusion transformers in float, small enough to train on one processor core.

Patches of every frame are tokens; a block is a list of attention sub-layers and an MLP; adaLN-zero (Peebles and
Xie, "Scalable Diffusion Models with Transformers", section 3.2) carries timestep and class into every sub-layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import CROSS, FULL, SPATIAL, TEMPORAL, NetworkConfig, patchify, unpatchify


def sinusoid(position: Tensor, dim: int, longest: float) -> Tensor:
    """Sines and cosines (N, dim) of `position` (N,) at frequencies from 1 down to 1 / `longest`."""
    rates = torch.exp(-math.log(longest) * torch.arange(dim // 2) / (dim // 2))
    angles = position[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    """Multi-head attention along one axis; tokens are (B, F, T, D), condition tokens (B, C, D)."""

    def __init__(self, config: NetworkConfig, axis: str) -> None:
        super().__init__()
        self.axis, self.heads = axis, config.heads
        if axis == CROSS:
            self.q, self.kv = nn.Linear(config.dim, config.dim), nn.Linear(config.dim, 2 * config.dim)
        else:
            self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)

    def operands(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        """Q, K and V (B, outer, heads, inner, head_dim) of x (B, outer, inner, D)."""
        if self.axis == CROSS:
            parts = (self.q(x), *self.kv(context[:, None]).chunk(2, dim=-1))
        else:
            parts = self.qkv(x).chunk(3, dim=-1)
        return tuple(part.unflatten(-1, (self.heads, -1)).transpose(2, 3) for part in parts)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens to tokens."""
        frames = x.shape[1]
        if self.axis == TEMPORAL:
            x = x.transpose(1, 2)  # (B, T, F, D)
        elif self.axis in (FULL, CROSS):
            x = x.flatten(1, 2)[:, None]  # (B, 1, F T, D)
        y = functional.scaled_dot_product_attention(*self.operands(x, context))
        y = self.out(y.transpose(2, 3).flatten(3))  # (B, outer, inner, D)
        if self.axis == TEMPORAL:
            return y.transpose(1, 2)
        return y if self.axis == SPATIAL else y[:, 0].unflatten(1, (frames, -1))


class Block(nn.Module):
    """One transformer block: attention along each of `axes`, then an MLP; tokens are (B, F, T, D)."""

    def __init__(self, config: NetworkConfig, axes: tuple[str, ...]) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({axis: Attention(config, axis) for axis in axes})
        self.fc1 = nn.Linear(config.dim, 4 * config.dim)
        self.fc2 = nn.Linear(4 * config.dim, config.dim)
        self.modulation = nn.Linear(config.dim, 3 * (len(axes) + 1) * config.dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens (B, F, T, D), condition (B, D) and condition tokens (B, C, D) to tokens."""
        vectors = self.modulation(condition)[:, None, None].unflatten(-1, (-1, 3, x.shape[-1])).unbind(-3)
        *attentions, (shift, scale, gate) = (vector.unbind(-2) for vector in vectors)
        for attend, (shift1, scale1, gate1) in zip(self.attention.values(), attentions, strict=True):
            x = x + gate1 * attend(normalise(x) * (1 + scale1) + shift1, context)
        hidden = self.fc1(normalise(x) * (1 + scale) + shift)
        return x + gate * self.fc2(functional.gelu(hidden, approximate="tanh"))


def normalise(x: Tensor) -> Tensor:
    """Layer normalisation over the last axis, without learned scale or shift (adaLN supplies them)."""
    return functional.layer_norm(x, x.shape[-1:], eps=1e-6)


class VideoTransformer(nn.Module):
    """Predicts the rectified-flow velocity (noise towards data) of a noisy video."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.embed = nn.Linear(config.patch_dim, dim)
        side = config.size // config.patch
        place = torch.arange(config.tokens)
        rows, columns = sinusoid(place // side, dim // 2, 100.0), sinusoid(place % side, dim // 2, 100.0)
        self.space = nn.Parameter(0.5 * torch.cat([rows, columns], dim=1))  # (T, D)
        self.time = nn.Parameter(0.5 * sinusoid(torch.arange(config.frames), dim, 100.0))  # (F, D)
        self.step = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.label = nn.Embedding(config.classes, dim * max(1, config.context))
        self.blocks = nn.ModuleList(Block(config, axes) for axes in config.blocks)
        self.modulation = nn.Linear(dim, 2 * dim)
        self.head = nn.Linear(dim, config.patch_dim)
        for layer in (self.modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def condition(self, t: Tensor, label: Tensor) -> Tensor:
        """Time `t` (0: noise, 1: data) and class, (B,) each, to what modulates the blocks, (B, D).

        With cross-attention the class comes by it alone.
        """
        steps = self.step(sinusoid(1000 * t, self.config.dim, 10000.0))
        return functional.silu(steps if self.config.context else steps + self.label(label))

    def context(self, label: Tensor) -> Tensor | None:
        """Condition tokens (B, C, D) of classes `label` (B,); None without cross-attention."""
        return self.label(label).unflatten(-1, (self.config.context, -1)) if self.config.context else None

    def forward(self, video: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Velocity (B, F, [C,] H, W) at the noisy `video` of that shape, time `t` (B,) and class `label` (B,)."""
        condition, context = self.condition(t, label), self.context(label)
        x = self.embed(patchify(video, self.config))  # (B, F, T, D)
        x = x + self.space + self.time[:, None]
        for block in self.blocks:
            x = block(x, condition, context)
        shift, scale = self.modulation(condition)[:, None, None].chunk(2, dim=-1)
        return unpatchify(self.head(normalise(x) * (1 + scale) + shift), self.config)
