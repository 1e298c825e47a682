# SPDX-License-Identifier: Apache-2.0
"""Factorised space-time video diffusion transformers, small enough to train on one processor core.

The family of STDiT (Open-Sora) and Latte: patches of every frame are tokens, blocks alternate between
attention over the tokens of a frame ("spatial") and over the frames of a token position ("temporal"), and
adaLN-zero (Peebles and Xie, "Scalable Diffusion Models with Transformers", section 3.2) carries timestep and
class into every block.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hw.errors import VidaError


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network; `size` and `patch` are the sides of a frame and of a patch in gray pixels."""

    frames: int
    size: int
    patch: int
    dim: int
    heads: int
    pairs: int
    classes: int

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return (self.size // self.patch) ** 2

    @property
    def patch_dim(self) -> int:
        """Pixels of one patch."""
        return self.patch**2

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.heads

    @property
    def blocks(self) -> tuple[str, ...]:
        """Kind of every block in order: "spatial", "temporal", "spatial", ..."""
        return ("spatial", "temporal") * self.pairs

    def as_dict(self) -> dict[str, int]:
        """The fields, for a checkpoint's metadata."""
        return asdict(self)


PRESETS = {
    "tiny": NetworkConfig(frames=4, size=16, patch=4, dim=32, heads=2, pairs=1, classes=4),
    "small": NetworkConfig(frames=8, size=32, patch=4, dim=96, heads=3, pairs=2, classes=6),
}


def preset(name: str) -> NetworkConfig:
    """The named network shape; raises `VidaError` for an unknown name."""
    if name not in PRESETS:
        raise VidaError(f"unknown network '{name}': choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def count_macs(config: NetworkConfig) -> dict[str, int]:
    """Multiply-accumulates of one network evaluation of one video, by operator kind."""
    tokens = config.frames * config.tokens
    blocks, pairs, dim = 2 * config.pairs, config.pairs, config.dim
    attended = pairs * (config.tokens + config.frames)  # keys a query sees, summed over blocks
    return {
        "embed": tokens * config.patch_dim * dim,
        "qkv": blocks * tokens * 3 * dim * dim,
        "scores": tokens * attended * dim,
        "values": tokens * attended * dim,
        "out": blocks * tokens * dim * dim,
        "fc1": blocks * tokens * 4 * dim * dim,
        "fc2": blocks * tokens * 4 * dim * dim,
        "head": tokens * dim * config.patch_dim,
        "conditioning": (2 + 6 * blocks + 2) * dim * dim,
    }


def patchify(video: Tensor, config: NetworkConfig) -> Tensor:
    """Pixels (B, F, H, W) to patches (B, F, T, P), row-major over the frame and inside the patch."""
    b, f, side, p = video.shape[0], config.frames, config.size // config.patch, config.patch
    grid = video.reshape(b, f, side, p, side, p)  # (B, F, rows, p, columns, p)
    return grid.permute(0, 1, 2, 4, 3, 5).reshape(b, f, side * side, p * p)  # (B, F, T, P)


def unpatchify(patches: Tensor, config: NetworkConfig) -> Tensor:
    """Patches (B, F, T, P) back to pixels (B, F, H, W)."""
    b, f, side, p = patches.shape[0], config.frames, config.size // config.patch, config.patch
    grid = patches.reshape(b, f, side, side, p, p)  # (B, F, rows, columns, p, p)
    return grid.permute(0, 1, 2, 4, 3, 5).reshape(b, f, side * p, side * p)  # (B, F, H, W)


def sinusoid(position: Tensor, dim: int, longest: float) -> Tensor:
    """Sines and cosines (N, dim) of `position` (N,) at frequencies from 1 down to 1 / `longest`."""
    rates = torch.exp(-math.log(longest) * torch.arange(dim // 2) / (dim // 2))
    angles = position[:, None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Block(nn.Module):
    """One transformer block whose attention runs along one axis; tokens are (B, F, T, D)."""

    def __init__(self, config: NetworkConfig, axis: str) -> None:
        super().__init__()
        self.axis, self.heads = axis, config.heads
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.fc1 = nn.Linear(config.dim, 4 * config.dim)
        self.fc2 = nn.Linear(4 * config.dim, config.dim)
        self.modulation = nn.Linear(config.dim, 6 * config.dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def attend(self, x: Tensor) -> Tensor:
        """Multi-head attention along the block's axis."""
        if self.axis == "temporal":
            x = x.transpose(1, 2)  # (B, T, F, D)
        b, outer, inner, dim = x.shape
        q, k, v = self.qkv(x).reshape(b, outer, inner, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
        y = functional.scaled_dot_product_attention(q, k, v)  # (B, outer, heads, inner, head_dim)
        y = self.out(y.transpose(2, 3).reshape(b, outer, inner, dim))
        return y.transpose(1, 2) if self.axis == "temporal" else y

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Tokens (B, F, T, D) and condition (B, D) to tokens."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition)[:, None, None].chunk(6, dim=-1)
        x = x + gate1 * self.attend(normalise(x) * (1 + scale1) + shift1)
        hidden = self.fc1(normalise(x) * (1 + scale2) + shift2)
        return x + gate2 * self.fc2(functional.gelu(hidden, approximate="tanh"))


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
        self.label = nn.Embedding(config.classes, dim)
        self.blocks = nn.ModuleList(Block(config, axis) for axis in config.blocks)
        self.modulation = nn.Linear(dim, 2 * dim)
        self.head = nn.Linear(dim, config.patch_dim)
        for layer in (self.modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def condition(self, t: Tensor, label: Tensor) -> Tensor:
        """Time `t` (0: noise, 1: data) and class, (B,) each, to what modulates the blocks, (B, D)."""
        steps = sinusoid(1000 * t, self.config.dim, 10000.0)
        return functional.silu(self.step(steps) + self.label(label))

    def forward(self, video: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Velocity (B, F, H, W) at the noisy `video` (B, F, H, W), time `t` (B,) and class `label` (B,)."""
        condition = self.condition(t, label)
        x = self.embed(patchify(video, self.config))  # (B, F, T, D)
        x = x + self.space + self.time[:, None]
        for block in self.blocks:
            x = block(x, condition)
        shift, scale = self.modulation(condition)[:, None, None].chunk(2, dim=-1)
        return unpatchify(self.head(normalise(x) * (1 + scale) + shift), self.config)
