# SPDX-License-Identifier: Apache-2.0
"""Where a model keeps the frames of its videos: what its tensors' shapes do not say.

Methods between timesteps need no layout. Those between frames, and those that drop tokens of a grid, ask one for the
shape of a call and for the arrangement of every layer. Layouts of the project's networks and of four diffusers classes
are built in (`layout_of`); a user's own model brings a `Layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from hw.errors import VidaError


@dataclass(frozen=True)
class Geometry:
    """One call's videos: frames of `rows` x `columns` tokens, after `prefix` tokens (of text) that are no video."""

    videos: int
    frames: int
    rows: int
    columns: int
    prefix: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return self.rows * self.columns


class Arrangement(str, Enum):
    """How a layer's tokens lie; several leading axes may stand for one, in the same order."""

    FRAMES = "frames"  #: (videos, frames, tokens, ...): attention inside a frame
    PLACES = "places"  #: (videos, tokens, frames, ...): attention over the frames of a place
    JOINT = "joint"  #: (videos, prefix + frames x tokens, ...): attention over the whole video
    OTHER = "other"  #: no tokens of the video: text, conditions


@dataclass(frozen=True)
class Layout:
    """What is known of a model.

    Parameters
    ----------
    shape : from the model and the arguments of its forward, by name, to the geometry of the call
    arrange : from the model and a layer's name to the arrangement of its input
    """

    shape: Callable[[nn.Module, Mapping[str, Any]], Geometry]
    arrange: Callable[[nn.Module, str], Arrangement]


@dataclass(frozen=True)
class Rows:
    """A tensor's rows by video: (videos, frames, tokens, ...), and those of text before them, (videos, 1, P, ...)."""

    video: Tensor
    text: Tensor | None = None


def split(x: Tensor, arrangement: Arrangement, geometry: Geometry | None) -> Rows:
    """Rows of a layer's operand (..., K).

    Rows that are no tokens of the video, and all without a geometry, are one frame. Raises `VidaError` for a shape
    that does not fit.
    """
    lead, width = x.shape[:-1], x.shape[-1]
    if geometry is None or (arrangement is Arrangement.OTHER and (not lead or lead[0] % geometry.videos)):
        return Rows(x.reshape(1, 1, -1, width))
    if arrangement is Arrangement.OTHER:
        return Rows(x.reshape(geometry.videos, 1, -1, width))
    videos, frames, tokens = geometry.videos, geometry.frames, geometry.tokens
    prefix = geometry.prefix if arrangement is Arrangement.JOINT else 0
    if lead.numel() != videos * (prefix + frames * tokens):
        text = f" after {prefix} of text" if prefix else ""
        raise VidaError(f"shape {tuple(x.shape)} does not hold {videos} videos of {frames} frames of {geometry.rows} x "
                        f"{geometry.columns} tokens{text} (arrangement '{arrangement.value}')")
    if arrangement is Arrangement.PLACES:
        return Rows(x.reshape(videos, tokens, frames, width).transpose(1, 2))
    rows = x.reshape(videos, prefix + frames * tokens, width)
    video = rows[:, prefix:].reshape(videos, frames, tokens, width)
    return Rows(video, rows[:, None, :prefix] if prefix else None)


def join(rows: Rows, arrangement: Arrangement, lead: torch.Size) -> Tensor:
    """The inverse of `split`: (*lead, N) of rows (videos, frames, tokens, N)."""
    video = rows.video.transpose(1, 2) if arrangement is Arrangement.PLACES else rows.video
    if rows.text is not None:
        video = torch.cat((rows.text.flatten(1, 2), video.flatten(1, 2)), 1)
    return video.reshape(*lead, video.shape[-1])


def _latte_shape(model: nn.Module, given: Mapping[str, Any]) -> Geometry:
    videos, _, frames, height, width = given["hidden_states"].shape
    patch = model.config.patch_size
    return Geometry(videos, frames, height // patch, width // patch)


def _latte(model: nn.Module, name: str) -> Arrangement:
    if ".attn2.to_k" in name or ".attn2.to_v" in name:
        return Arrangement.OTHER
    if name.startswith("temporal_transformer_blocks."):
        return Arrangement.PLACES
    return Arrangement.FRAMES if name.startswith(("transformer_blocks.", "proj_out")) else Arrangement.OTHER


def _cogvideox_shape(model: nn.Module, given: Mapping[str, Any]) -> Geometry:
    videos, frames, _, height, width = given["hidden_states"].shape
    patch, deep = model.config.patch_size, model.config.patch_size_t or 1
    return Geometry(videos, -(-frames // deep), height // patch, width // patch,
                    given["encoder_hidden_states"].shape[1])


def _cogvideox(model: nn.Module, name: str) -> Arrangement:
    if name == "proj_out":
        return Arrangement.FRAMES
    return Arrangement.JOINT if name.startswith("transformer_blocks.") else Arrangement.OTHER


def _wan_shape(model: nn.Module, given: Mapping[str, Any]) -> Geometry:
    videos, _, frames, height, width = given["hidden_states"].shape
    deep, high, wide = model.config.patch_size
    return Geometry(videos, frames // deep, height // high, width // wide)


def _wan(model: nn.Module, name: str) -> Arrangement:
    text = (".attn2.to_k", ".attn2.to_v", ".attn2.add_")
    if not name.startswith(("blocks.", "proj_out")) or any(part in name for part in text):
        return Arrangement.OTHER
    return Arrangement.JOINT


def _dit_shape(model: nn.Module, given: Mapping[str, Any]) -> Geometry:
    videos, _, height, width = given["hidden_states"].shape
    return Geometry(videos, 1, height // model.config.patch_size, width // model.config.patch_size)


def _dit(model: nn.Module, name: str) -> Arrangement:
    tokens = name.startswith("transformer_blocks.") and ".emb." not in name
    return Arrangement.FRAMES if tokens or name == "proj_out_2" else Arrangement.OTHER


def _own_shape(model: nn.Module, given: Mapping[str, Any]) -> Geometry:
    videos, frames, *_, side = given["video"].shape
    return Geometry(videos, frames, side // model.config.patch, side // model.config.patch)


def _own(model: nn.Module, name: str) -> Arrangement:
    parts = name.split(".")
    if parts[0] not in ("blocks", "embed", "head") or "modulation" in parts or parts[-1] == "kv":
        return Arrangement.OTHER
    if "attention" not in parts or parts[3] == "spatial":
        return Arrangement.FRAMES
    return Arrangement.PLACES if parts[3] == "temporal" else Arrangement.JOINT


#: By the name of the class, so that diffusers need not be there.
LAYOUTS = {
    "VideoTransformer": Layout(_own_shape, _own),
    "LatteTransformer3DModel": Layout(_latte_shape, _latte),
    "CogVideoXTransformer3DModel": Layout(_cogvideox_shape, _cogvideox),
    "WanTransformer3DModel": Layout(_wan_shape, _wan),
    "DiTTransformer2DModel": Layout(_dit_shape, _dit),
}


def layout_of(model: nn.Module) -> Layout | None:
    """The built-in layout of a model's class, None for a class that has none."""
    return LAYOUTS.get(type(model).__name__)
