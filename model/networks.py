# SPDX-License-Identifier: Apache-2.0
"""Video diffusion transformers of four families, small enough to train on one processor core.

Patches of every frame are tokens; a block is a list of attention sub-layers and an MLP; adaLN-zero (Peebles and
Xie, "Scalable Diffusion Models with Transformers", section 3.2) carries timestep and class into every sub-layer.
What each family follows and where it departs from it: docs/networks.md.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional

from hw.errors import VidaError

#: Axes that an attention sub-layer may run along.
SPATIAL, TEMPORAL, FULL, CROSS = "spatial", "temporal", "full", "cross"
#: Side, in pixels, of what a latent of `model.autoencoder` stands for.
LATENT_PIXELS = 4


class Family(StrEnum):
    """How attention is spread over the blocks; (F, T) are frames and tokens of a frame.

    LATTE : blocks alternate between the tokens of a frame and the frames of a token (Ma et al., "Latte", variant 1).
        F T (T + F) / 2 scores a block: the cheapest, but an object that moves needs two blocks to be followed.
    STDIT : both axes and a cross-attention to condition tokens in every block (Open-Sora, `STDiTBlock`). One MLP
        for two axes, and the condition is a right operand that no timestep changes; three softmaxes a block.
    VDT : frames first, then tokens, in every block (Lu et al., "VDT", `VDTBlock`). As STDIT with the class in adaLN.
    FULL : every token sees every token of every frame (CogVideoX, HunyuanVideo, Wan). (F T)^2 scores: motion is
        followed directly, at rows F or T times longer, and nothing but single tokens can be skipped as a whole.
    """

    LATTE = "latte"
    STDIT = "stdit"
    VDT = "vdt"
    FULL = "full"


#: Blocks that a family repeats, each by the axes of its attention sub-layers in order.
PATTERNS: dict[Family, tuple[tuple[str, ...], ...]] = {
    Family.LATTE: ((SPATIAL,), (TEMPORAL,)),
    Family.STDIT: ((SPATIAL, TEMPORAL, CROSS),),
    Family.VDT: ((TEMPORAL, SPATIAL),),
    Family.FULL: ((FULL,),),
}


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network; raises `VidaError` for one that cannot be.

    Members
    -------
    frames, size, patch : of a video, and the sides of a frame and of a patch, in pixels or latents
    dim, heads, classes : channels of a token, attention heads, kinds of motion
    pairs : how often the family's pattern of blocks is repeated (a pair of blocks in LATTE, one in the others)
    family : see `Family`
    channels : of a frame: 1 is gray pixels, more are latents of `model.autoencoder`
    context : condition tokens of cross-attention, which STDIT alone has
    correlation : of the starting noise of one pixel in two frames, 0 (independent) to 1 (the same)
    """

    frames: int
    size: int
    patch: int
    dim: int
    heads: int
    pairs: int
    classes: int
    family: Family = Family.LATTE
    channels: int = 1
    context: int = 0
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if self.size % self.patch:
            raise VidaError(f"frames of {self.size} x {self.size} do not divide into patches of {self.patch}")
        if self.dim % (4 * self.heads):
            raise VidaError(f"{self.dim} channels for {self.heads} heads: a multiple of {4 * self.heads} needed")
        if (self.context > 0) != (self.family is Family.STDIT):
            raise VidaError(f"{self.context} condition tokens in family {self.family}: stdit alone has them")
        if not 0 <= self.correlation <= 1:
            raise VidaError(f"noise correlation {self.correlation}, 0..1 allowed")

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return (self.size // self.patch) ** 2

    @property
    def patch_dim(self) -> int:
        """Values of one patch."""
        return self.channels * self.patch**2

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.heads

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(H, W), or (C, H, W) where a frame has several channels."""
        return (self.size, self.size) if self.channels == 1 else (self.channels, self.size, self.size)

    @property
    def pixels(self) -> int:
        """Side of a frame in pixels."""
        return self.size if self.channels == 1 else LATENT_PIXELS * self.size

    @property
    def blocks(self) -> tuple[tuple[str, ...], ...]:
        """Of every block in order the axes of its attention sub-layers in order."""
        return PATTERNS[self.family] * self.pairs

    def keys(self, axis: str) -> int:
        """Keys that a query of an attention along `axis` sees."""
        lengths = (self.tokens, self.frames, self.frames * self.tokens, self.context)
        return dict(zip((SPATIAL, TEMPORAL, FULL, CROSS), lengths, strict=True))[axis]

    def as_dict(self) -> dict[str, int | float | str]:
        """The fields, for a checkpoint's metadata; those beyond `classes` only where they are not the default."""
        default = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != default[name]}


PRESETS = {
    "tiny": NetworkConfig(frames=4, size=16, patch=4, dim=32, heads=2, pairs=1, classes=4),
    "small": NetworkConfig(frames=8, size=32, patch=4, dim=96, heads=3, pairs=2, classes=6),
    "full": NetworkConfig(frames=8, size=24, patch=4, dim=64, heads=4, pairs=3, classes=6, family=Family.FULL),
    "latent": NetworkConfig(frames=8, size=8, patch=2, dim=64, heads=4, pairs=2, classes=6, channels=4),
    "correlated": NetworkConfig(
        frames=8, size=24, patch=4, dim=64, heads=4, pairs=2, classes=6, family=Family.VDT, correlation=0.9
    ),
    "stdit": NetworkConfig(
        frames=8, size=24, patch=4, dim=64, heads=4, pairs=2, classes=6, family=Family.STDIT, context=4
    ),
    "vdt": NetworkConfig(frames=8, size=24, patch=4, dim=64, heads=4, pairs=2, classes=6, family=Family.VDT),
}


def preset(name: str) -> NetworkConfig:
    """The named network shape; raises `VidaError` for an unknown name."""
    if name not in PRESETS:
        raise VidaError(f"unknown network '{name}': choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def count_macs(config: NetworkConfig) -> dict[str, int]:
    """Multiply-accumulates of one network evaluation of one video, by operator kind."""
    tokens, dim = config.frames * config.tokens, config.dim
    axes = [axis for block in config.blocks for axis in block]
    attended = sum(config.keys(axis) for axis in axes)  # keys a query sees, summed over sub-layers
    blocks, crosses = len(config.blocks), axes.count(CROSS)
    vectors = 3 * (len(axes) + blocks) + 2  # of modulation
    counted = {
        "embed": tokens * config.patch_dim * dim,
        "qkv": (len(axes) - crosses) * tokens * 3 * dim * dim,
        "q": crosses * tokens * dim * dim,
        "scores": tokens * attended * dim,
        "values": tokens * attended * dim,
        "out": len(axes) * tokens * dim * dim,
        "fc1": blocks * tokens * 4 * dim * dim,
        "fc2": blocks * tokens * 4 * dim * dim,
        "head": tokens * dim * config.patch_dim,
        "conditioning": (2 + vectors + 2 * crosses * config.context) * dim * dim,
    }
    return {kind: count for kind, count in counted.items() if count}


def patchify(video: Tensor, config: NetworkConfig) -> Tensor:
    """Values (B, F, [C,] H, W) to patches (B, F, T, P), row-major over the frame, channels and inside the patch."""
    b, f, side, p = video.shape[0], config.frames, config.size // config.patch, config.patch
    grid = video.reshape(b, f, config.channels, side, p, side, p)  # (B, F, C, rows, p, columns, p)
    return grid.permute(0, 1, 3, 5, 2, 4, 6).reshape(b, f, side * side, config.patch_dim)  # (B, F, T, P)


def unpatchify(patches: Tensor, config: NetworkConfig) -> Tensor:
    """Patches (B, F, T, P) back to values (B, F, [C,] H, W)."""
    b, f, side, p = patches.shape[0], config.frames, config.size // config.patch, config.patch
    grid = patches.reshape(b, f, side, side, config.channels, p, p)  # (B, F, rows, columns, C, p, p)
    return grid.permute(0, 1, 4, 2, 5, 3, 6).reshape(b, f, *config.frame_shape)


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
