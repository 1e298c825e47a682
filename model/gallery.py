# SPDX-License-Identifier: Apache-2.0
"""Pictures for the report: contact sheets of data and samples as arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.evaluate import float_videos, integer_videos
from model.methods import REFRESH
from model.networks import preset as network_preset
from model.sample import STEPS
from model.video import draw

_GAP = 2


def contact_sheet(videos: Tensor) -> np.ndarray:
    """Videos (V, F, H, W) as one gray picture, uint8: a row per video, a column per frame."""
    count, frames, height, width = videos.shape
    gray = ((videos.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()
    sheet = np.zeros((count * (height + _GAP) - _GAP, frames * (width + _GAP) - _GAP), np.uint8)
    for row in range(count):
        for column in range(frames):
            top, left = row * (height + _GAP), column * (width + _GAP)
            sheet[top : top + height, left : left + width] = gray[row, column]
    return sheet


def data_videos(preset: str, videos: int, seed: int = 0) -> Tensor:
    """Videos (V, F, H, W) of the training source, one class after the other."""
    config = network_preset(preset)
    generator = torch.Generator().manual_seed(seed)
    return draw(torch.arange(videos) % config.classes, config, generator)


def pictures(preset: str, videos: int = 4, steps: int = STEPS, refresh: int = REFRESH) -> dict[str, np.ndarray]:
    """Contact sheets of the same classes: training "data", "float" samples, "int8" dense and "vida"."""
    return {
        "data": contact_sheet(data_videos(preset, videos)),
        "float": contact_sheet(float_videos(preset, steps, videos)),
        "int8": contact_sheet(integer_videos(preset, "dense", steps, REFRESH, videos)),
        "vida": contact_sheet(integer_videos(preset, "vida", steps, refresh, videos)),
    }
