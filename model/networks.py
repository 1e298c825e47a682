# SPDX-License-Identifier: Apache-2.0
"""Shapes of the networks: four families of video diffusion transformers and their presets.

What each family follows and where it departs from it: docs/networks.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import StrEnum

from torch import Tensor

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
