# SPDX-License-Identifier: Apache-2.0
"""Procedural video and noise: one bright object moves over a dim ground that pans; the class is the kind of motion.

Everything is drawn from a seeded generator, so that a batch is a function of (seed, batch size) alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from model.networks import NetworkConfig

#: Kinds of motion, in label order; a network with fewer classes knows the first ones.
MOTIONS = ("right", "left", "down", "up", "circle", "pulse")
_DIRECTIONS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0], [0.0, 0.0]])


def uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    """`count` numbers (count, 1) drawn uniformly from low..high."""
    return low + (high - low) * torch.rand(count, 1, generator=generator)


def paths(label: Tensor, config: NetworkConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centre (N, F, 2: x, y) and radius (N, F) of the object in pixels of a 32 x 32 frame."""
    count, phase = len(label), torch.linspace(0, 1, config.frames)[None]  # (1, F)
    travel = uniform(10, 16, count, generator)
    line = travel[..., None] * (phase - 0.5)[..., None] * _DIRECTIONS[label][:, None]  # (N, F, 2)
    angle = 2 * math.pi * (uniform(0, 1, count, generator) + uniform(0.7, 0.9, count, generator) * phase)
    circle = uniform(6, 8, count, generator)[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    circling = (label == MOTIONS.index("circle"))[:, None, None]
    pulsing = (label == MOTIONS.index("pulse"))[:, None]
    centre = 15.5 + 6 * torch.rand(count, 1, 2, generator=generator) - 3 + torch.where(circling, circle, line)
    radius = uniform(4, 5.5, count, generator) * torch.where(pulsing, 1.1 + 0.5 * angle.sin(), torch.ones(1))
    return centre, radius


def draw(label: Tensor, config: NetworkConfig, generator: torch.Generator) -> Tensor:
    """Videos (N, F, H, W) of the classes `label` (N,), values in -1..1: a disc over a wave that pans along
    its heading.

    The wave's length is the frame's width and its heading one of four, so that a small network can learn it.
    """
    count = len(label)
    axis = (torch.arange(config.pixels) + 0.5) * 32 / config.pixels - 0.5
    x, y = axis[None, None, None, :], axis[None, None, :, None]
    frame = torch.linspace(0, 7, config.frames)[None, :, None, None]

    heading = math.pi / 4 * torch.randint(4, (count, 1, 1, 1), generator=generator)
    pan = uniform(0.5, 2.0, count, generator)[..., None, None]
    start = uniform(0, 32, count, generator)[..., None, None]
    along = x * heading.cos() + y * heading.sin() - pan * frame - start
    ground = -0.5 + 0.3 * torch.sin(2 * math.pi / 32 * along)  # (N, F, H, W)

    centre, radius = paths(label, config, generator)
    away = torch.hypot(x - centre[..., 0, None, None], y - centre[..., 1, None, None])
    cover = ((radius[..., None, None] - away) * config.pixels / 32 + 0.5).clamp(0, 1)  # an edge one pixel wide
    return ground + cover * (0.9 - ground)


def draw_noise(config: NetworkConfig, count: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise (count, F, [C,] H, W), the same part of it in all frames of a video.

    With correlation r it is sqrt(r) * shared + sqrt(1 - r) * own: the mixed noise model of Ge et al., "Preserve
    Your Own Correlation" (arXiv 2305.10474), with r = alpha^2 / (1 + alpha^2).
    """
    own = torch.randn(count, config.frames, *config.frame_shape, generator=generator)
    if not config.correlation:
        return own
    shared = torch.randn(count, 1, *config.frame_shape, generator=generator)
    return math.sqrt(config.correlation) * shared + math.sqrt(1 - config.correlation) * own


def batch(config: NetworkConfig, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` videos (N, F, H, W) in pixels and their classes (N,): a pure function of its arguments."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(config.classes, (count,), generator=generator)
    return draw(label, config, generator), label
