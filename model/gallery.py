# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of data and samples: arrays for the report, or a file: `python -m model.gallery --preset full`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from matplotlib import image
from torch import Tensor

from model.command import run
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
        "int8": contact_sheet(integer_videos(preset, "dense", steps, videos)),
        "vida": contact_sheet(integer_videos(preset, "vida", steps, videos, refresh)),
    }


def main(
    preset: Annotated[str, typer.Option(help="which network")],
    videos: Annotated[int, typer.Option(help="videos, a row each")] = 6,
    output: Annotated[Path | None, typer.Option(help="picture; by default docs/samples/PRESET.png")] = None,
) -> None:
    """Write int8 samples (left) beside training videos of the same classes (right), three times enlarged."""
    torch.set_num_threads(1)
    sheets = [contact_sheet(v) for v in (integer_videos(preset, videos=videos), data_videos(preset, videos))]
    gap = np.full((len(sheets[0]), 4 * _GAP), 255, np.uint8)
    picture = np.concatenate([sheets[0], gap, sheets[1]], axis=1).repeat(3, 0).repeat(3, 1)
    path = output or Path("docs/samples") / f"{preset}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.imsave(path, picture, cmap="gray", vmin=0, vmax=255)
    print(path)


if __name__ == "__main__":
    run(main)
