# SPDX-License-Identifier: Apache-2.0
"""Samples by every method and their quality: `python -m model.evaluate --preset small --method vida`."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated

import torch
import typer
from torch import Tensor

from model.autoencoder import to_pixels
from model.checkpoints import load_network
from model.command import run
from model.methods import REFRESH, method
from model.metrics import compare
from model.quantise import load_quantised
from model.sample import STEPS, sample_float, sample_integer

#: Videos that a quality figure is the mean of.
VIDEOS = 4


@cache
def float_videos(preset: str, steps: int = STEPS, videos: int = VIDEOS) -> Tensor:
    """Videos (V, F, H, W) of the float network from the committed starting noise, in pixels."""
    network, quantised = load_network(preset)[0], load_quantised(preset)[0]
    return to_pixels(network.config, sample_float(network, quantised.noise[:videos], quantised.label[:videos], steps))


@cache
def integer_videos(
    preset: str, name: str = "dense", steps: int = STEPS, refresh: int = REFRESH, videos: int = VIDEOS
) -> Tensor:
    """Videos (V, F, H, W) of the integer network by the method `name`, same noise, in pixels."""
    network = load_quantised(preset)[0]
    starts = zip(network.noise[:videos], network.label[:videos].tolist(), strict=True)
    samples = [sample_integer(network, noise, label, method(name, refresh=refresh), steps) for noise, label in starts]
    return to_pixels(network.config, torch.stack(samples))


def quality(
    preset: str, name: str = "dense", steps: int = STEPS, refresh: int = REFRESH, videos: int = VIDEOS
) -> dict[str, dict[str, float]]:
    """`psnr_db`, `ssim` and `cosine` of a method's videos against "float" and against int8 "dense", same
    seed and steps.

    Each is the mean over `videos` videos; the PSNR of an exact method against dense is infinite.
    """
    samples = integer_videos(preset, name, steps, refresh, videos)
    dense = integer_videos(preset, "dense", steps, REFRESH, videos)
    return {
        "float": compare(samples, float_videos(preset, steps, videos)),
        "dense": compare(samples, dense),
    }


def fewer_steps(preset: str, steps: int, videos: int = VIDEOS) -> dict[str, float]:
    """What `steps` steps lose against the full run, both int8 dense: the rival of every approximation."""
    full, short = (integer_videos(preset, "dense", count, REFRESH, videos) for count in (STEPS, steps))
    return compare(short, full)


def main(
    preset: Annotated[str, typer.Option(help="which network")] = "small",
    name: Annotated[str, typer.Option("--method", help="dense, original, ditto or vida")] = "dense",
    steps: Annotated[int, typer.Option(help="50, 20 or 8")] = STEPS,
    refresh: Annotated[int, typer.Option(help="frames between exact products of vida")] = REFRESH,
    videos: Annotated[int, typer.Option(help="videos to average over")] = VIDEOS,
) -> None:
    """Print the quality of one method as JSON."""
    torch.set_num_threads(1)
    print(json.dumps(quality(preset, name, steps, refresh, videos), indent=2))


if __name__ == "__main__":
    run(main)
