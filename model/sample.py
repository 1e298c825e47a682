# SPDX-License-Identifier: Apache-2.0
"""Euler samplers: in float, and in integers by any method; both start from the same int16 noise."""

from __future__ import annotations

import torch
from torch import Tensor

from model.exact.network import VIDEO_FRACTION_BITS, QuantisedNetwork
from model.exact.operators import Operators
from model.exact.step import denoise
from model.networks import NetworkConfig
from model.transformer import VideoTransformer
from model.video import draw_noise

#: Denoising steps of a full run.
STEPS = 50
#: Numbers of steps that a quantised network holds modulation vectors for.
STEP_CHOICES = (50, 20, 8)


def starting_noise(config: NetworkConfig, count: int, seed: int) -> Tensor:
    """Noise (count, F, [C,] H, W) as the network was trained with, int16 with `VIDEO_FRACTION_BITS`, held as int64."""
    generator = torch.Generator().manual_seed(seed)
    noise = draw_noise(config, count, generator)
    return (noise * (1 << VIDEO_FRACTION_BITS)).round().long()


def to_float(video: Tensor) -> Tensor:
    """Int16 pixels as real values, nominally -1..1."""
    return video.float() / (1 << VIDEO_FRACTION_BITS)


@torch.no_grad()
def sample_float(network: VideoTransformer, noise: Tensor, label: Tensor, steps: int = STEPS) -> Tensor:
    """Videos (N, F, [C,] H, W) in float from int16 `noise` of that shape and classes `label` (N,)."""
    video = to_float(noise)
    for step in range(steps):
        t = torch.full((len(video),), step / steps)
        video = video + network(video, t, label) / steps
    return video


def sample_integer(
    network: QuantisedNetwork, noise: Tensor, label: int, operators: Operators, steps: int = STEPS
) -> Tensor:
    """One video (F, [C,] H, W) in int16 from int16 `noise` of that shape, by the products of `operators`."""
    video = noise
    for step in range(steps):
        video = denoise(network, video, label, step, steps, operators)
    return video
