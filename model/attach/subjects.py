# SPDX-License-Identifier: Apache-2.0
"""Models that `vida trace` can load and sample: diffusers' video transformers, and the project's own networks.

A diffusers model is sampled without its pipeline: seeded noise, seeded random numbers in place of text embeddings, the
class's kind of scheduler with the library's defaults, no guidance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hw.errors import VidaError
from model.attach.loading import load_folder, random_weights
from model.checkpoints import load_network
from model.networks import PRESETS
from model.sample import starting_noise, to_float

#: Rows of text that the pipelines give.
_LATTE_TEXT, _WAN_TEXT = 120, 512
#: Of Wan, whose configuration tells no size: small enough for a processor.
_WAN_SIZE = 5, 32, 32
_FROM_IMAGE = ("a {} of {} channels in and {} out makes video from an image, only text to video is sampled: attach to "
               "it in a loop of your own (docs/trace.md)")


@dataclass(frozen=True)
class Size:
    """Frames, height and width of the video that the transformer sees (latents); None: the checkpoint's own."""

    frames: int | None = None
    height: int | None = None
    width: int | None = None

    def over(self, *own: int) -> tuple[int, int, int]:
        """With what is not given from the checkpoint."""
        given = (self.frames, self.height, self.width)
        return tuple(ours if one is None else one for one, ours in zip(given, own, strict=True))


@dataclass(frozen=True)
class Start:
    """Noise of the class's shape, what else its forward takes, and the scheduler's class with its settings."""

    noise: Tensor
    given: dict[str, Any]
    scheduler: str
    settings: dict[str, Any]


def _latte(model: nn.Module, size: Size, draw: Callable[..., Tensor]) -> Start:
    c = model.config
    frames, height, width = size.over(c.video_length, c.sample_size, c.sample_size)
    text = draw(1, _LATTE_TEXT, c.caption_channels)
    return Start(draw(1, c.in_channels, frames, height, width), {"encoder_hidden_states": text}, "DDIMScheduler",
                 {"clip_sample": False})


def _cogvideox(model: nn.Module, size: Size, draw: Callable[..., Tensor]) -> Start:
    c = model.config
    if c.in_channels != c.out_channels or c.ofs_embed_dim:
        raise VidaError(_FROM_IMAGE.format("CogVideoX", c.in_channels, c.out_channels))
    own = (c.sample_frames - 1) // c.temporal_compression_ratio + 1, c.sample_height, c.sample_width
    frames, height, width = size.over(*own)
    given = {"encoder_hidden_states": draw(1, c.max_text_seq_length, c.text_embed_dim)}
    if c.use_rotary_positional_embeddings:
        from diffusers.models.embeddings import get_3d_rotary_pos_embed
        deep, grid = c.patch_size_t or 1, (height // c.patch_size, width // c.patch_size)
        extra = {"grid_type": "slice", "max_size": grid} if c.patch_size_t else {}
        given["image_rotary_emb"] = get_3d_rotary_pos_embed(c.attention_head_dim, ((0, 0), grid), grid,
                                                            -(-frames // deep), **extra)
    return Start(draw(1, frames, c.in_channels, height, width), given, "CogVideoXDDIMScheduler",
                 {"prediction_type": "v_prediction"})


def _wan(model: nn.Module, size: Size, draw: Callable[..., Tensor]) -> Start:
    c = model.config
    if c.in_channels != c.out_channels or c.image_dim:
        raise VidaError(_FROM_IMAGE.format("Wan", c.in_channels, c.out_channels))
    frames, height, width = size.over(*_WAN_SIZE)
    return Start(draw(1, c.in_channels, frames, height, width),
                 {"encoder_hidden_states": draw(1, _WAN_TEXT, c.text_dim)}, "FlowMatchEulerDiscreteScheduler", {})


def _dit(model: nn.Module, size: Size, draw: Callable[..., Tensor]) -> Start:
    c = model.config
    _, height, width = size.over(1, c.sample_size, c.sample_size)
    return Start(draw(1, c.in_channels, height, width), {"class_labels": torch.zeros(1, dtype=torch.int64)},
                 "DDIMScheduler", {"clip_sample": False})


_STARTS = {
    "LatteTransformer3DModel": _latte, "CogVideoXTransformer3DModel": _cogvideox, "WanTransformer3DModel": _wan,
    "DiTTransformer2DModel": _dit,
}


class Subject(ABC):
    """A loaded model and how it is sampled; iterating `sample` runs one timestep each."""

    def __init__(self, name: str, model: nn.Module) -> None:
        self.name, self.model = name, model

    @abstractmethod
    def sample(self, steps: int, seed: int) -> Iterator[Tensor]:
        """What each of `steps` timesteps leaves, from the noise of `seed`."""


class DiffusersSubject(Subject):
    """A model of one of the four classes."""

    def __init__(self, name: str, model: nn.Module, size: Size) -> None:
        super().__init__(name, model)
        self.size = size

    @torch.no_grad()
    def sample(self, steps: int, seed: int) -> Iterator[Tensor]:
        """As `Subject.sample`; raises `VidaError` for a size that the model refuses."""
        import diffusers
        generator = torch.Generator().manual_seed(seed)
        draw = partial(torch.randn, generator=generator)
        start = _STARTS[type(self.model).__name__](self.model, self.size, draw)
        scheduler = getattr(diffusers, start.scheduler)(**start.settings)
        scheduler.set_timesteps(steps)
        latent = start.noise
        for t in scheduler.timesteps:
            latent = scheduler.step(self._predict(latent, t, start.given), t, latent, return_dict=False)[0]
            yield latent

    def _predict(self, latent: Tensor, t: Tensor, given: dict[str, Any]) -> Tensor:
        try:
            output = self.model(hidden_states=latent, timestep=t[None], return_dict=False, **given)[0]
            if output.shape[1] == 2 * latent.shape[1]:  # the second half is a learned variance
                output = output.narrow(1, 0, latent.shape[1])
            if output.shape != latent.shape:
                raise ValueError(f"it gives one of {tuple(output.shape)}")
        except (RuntimeError, ValueError, IndexError) as error:
            raise VidaError(f"{type(self.model).__name__} refuses a video of shape {tuple(latent.shape)}: {error}; "
                            "give --frames and --size that it takes") from error
        return output


class NetworkSubject(Subject):
    """One of the project's trained networks, by its own Euler sampler."""

    @torch.no_grad()
    def sample(self, steps: int, seed: int) -> Iterator[Tensor]:
        """As `Subject.sample`."""
        video = to_float(starting_noise(self.model.config, 1, seed))
        for step in range(steps):
            velocity = self.model(video, torch.full((1,), step / steps), torch.zeros(1, dtype=torch.int64))
            video = video + velocity / steps
            yield video


def load_subject(name: str, weights: Path | None, random: bool, size: Size) -> Subject:
    """The model `diffusers:CLASS` from the folder `weights` (tiny with random weights without one), or `network:NAME`.

    Raises `VidaError` for names, folders and checkpoints that do not fit.
    """
    source, _, kind = name.partition(":")
    if source == "network" and kind in PRESETS:
        if random or size != Size():
            raise VidaError(f"{name} is a trained network of fixed size: no --random-weights, --frames or --size")
        if weights is not None and weights.is_dir():
            raise VidaError(f"{name} with --weights {weights}: a file of `python -m model.train` is needed, not a "
                            "folder; without --weights the trained network of vida is taken")
        return NetworkSubject(kind, load_network(kind, weights)[0].eval())
    if source != "diffusers" or kind not in _STARTS:
        known = [f"diffusers:{one}" for one in _STARTS] + [f"network:{one}" for one in PRESETS]
        raise VidaError(f"unknown model '{name}': choose one of {', '.join(known)}")
    if weights is not None and random:
        raise VidaError(f"{name} with --weights {weights} and --random-weights: give one of both")
    if weights is None and not random:
        raise VidaError(f"{name} needs --weights DIR, a folder with config.json and safetensors, or --random-weights "
                        "for a tiny model without any")
    model = random_weights(kind) if weights is None else load_folder(kind, weights)
    return DiffusersSubject(kind, model.eval(), size)
