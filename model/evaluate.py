# SPDX-License-Identifier: Apache-2.0
"""Samples by every method and their quality: `python -m model.evaluate --preset small --method vida`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Annotated

import torch
import typer
from torch import Tensor

from model import frechet
from model.autoencoder import to_pixels
from model.checkpoints import load_network
from model.command import run
from model.exact.network import QuantisedNetwork
from model.methods import REFRESH, method
from model.metrics import compare
from model.quantise import EVALUATION_SEED, load_quantised
from model.sample import STEPS, sample_float, sample_integer, starting_noise

#: Videos that a quality figure is the mean of.
VIDEOS = 4
#: Fewest videos that a Frechet distance is given for.
LEAST = 8
_AGAINST_FLOAT = {"psnr_db": "psnr_float_db", "ssim": "ssim_float", "cosine": "cosine_float"}


def starts(network: QuantisedNetwork, videos: int) -> tuple[Tensor, list[int]]:
    """Starting noise (V, F, H, W) and classes of `videos` videos: the committed ones, then more, drawn here."""
    noise, classes = network.noise, network.config.classes
    if videos > len(noise):
        more = starting_noise(network.config, videos - len(noise), EVALUATION_SEED + 1)
        noise = torch.cat([noise, more])
    return noise[:videos], [place % classes for place in range(videos)]


@cache
def _committed(*_: object) -> list[Tensor]:
    """Videos of one kind of run, from the first of the committed starting points on: sampled once a process."""
    return []


def _sample(network: QuantisedNetwork, videos: int, kept: list[Tensor],
            sample: Callable[[Tensor, int], Tensor]) -> Tensor:
    runs = list(zip(*starts(network, videos), strict=True))
    kept += [sample(*each) for each in runs[len(kept) : len(network.noise)]]
    return torch.stack(kept[:videos] + [sample(*each) for each in runs[len(network.noise) :]])


def float_samples(preset: str, steps: int = STEPS, videos: int = VIDEOS) -> Tensor:
    """Videos (V, F, [C,] H, W) of the float network, real values, each sampled alone."""
    network = load_network(preset)[0]

    def sample(noise: Tensor, label: int) -> Tensor:
        return sample_float(network, noise[None], torch.tensor([label]), steps)[0]

    return _sample(load_quantised(preset)[0], videos, _committed(preset, "float", steps), sample)


def integer_samples(
    preset: str, name: str = "dense", steps: int = STEPS, videos: int = VIDEOS, refresh: int = REFRESH
) -> Tensor:
    """Videos (V, F, [C,] H, W) of the integer network by the method `name`, same noise, int16 places in int64."""
    network = load_quantised(preset)[0]

    def sample(noise: Tensor, label: int) -> Tensor:
        return sample_integer(network, noise, label, method(name, refresh=refresh), steps)

    return _sample(network, videos, _committed(preset, name, steps, refresh), sample)


def float_videos(preset: str, steps: int = STEPS, videos: int = VIDEOS) -> Tensor:
    """`float_samples` in pixels (V, F, H, W)."""
    return to_pixels(load_quantised(preset)[0].config, float_samples(preset, steps, videos))


def integer_videos(
    preset: str, name: str = "dense", steps: int = STEPS, videos: int = VIDEOS, refresh: int = REFRESH
) -> Tensor:
    """`integer_samples` in pixels (V, F, H, W)."""
    return to_pixels(load_quantised(preset)[0].config, integer_samples(preset, name, steps, videos, refresh))


def quality(preset: str, videos: Tensor, dense: Tensor, real: Tensor) -> dict[str, float | None]:
    """PSNR, SSIM and cosine against int8 dense and against float, and the Frechet distance to the training source.

    videos, dense, real : (V, F, H, W), real pixels, of the same starting points. PSNR is the mean over videos and None
    for equal ones, the distance None for fewer than `LEAST`.
    """
    found: dict[str, float | None] = dict(compare(videos, dense))
    found |= {_AGAINST_FLOAT[name]: value for name, value in compare(videos, real).items()}
    found = {name: value if math.isfinite(value) else None for name, value in found.items()}
    found["frechet"] = frechet.to_source(preset, videos) if len(videos) >= LEAST else None
    return found


def of_method(
    preset: str, name: str = "dense", steps: int = STEPS, videos: int = VIDEOS, refresh: int = REFRESH
) -> dict[str, float | None]:
    """`quality` of a method of `model.methods`, against int8 dense and float of as many steps."""
    runs = (integer_videos(preset, each, steps, videos, refresh) for each in (name, "dense"))
    return quality(preset, *runs, float_videos(preset, steps, videos))


def fewer_steps(preset: str, steps: int, videos: int = VIDEOS) -> dict[str, float | None]:
    """`quality` of int8 dense in `steps` steps against the full run: the rival of every approximation."""
    short, full = (integer_videos(preset, "dense", count, videos) for count in (steps, STEPS))
    return quality(preset, short, full, float_videos(preset, STEPS, videos))


def main(
    preset: Annotated[str, typer.Option(help="which network")] = "small",
    name: Annotated[str, typer.Option("--method", help="dense, original, ditto or vida")] = "dense",
    steps: Annotated[int, typer.Option(help="50, 20 or 8")] = STEPS,
    refresh: Annotated[int, typer.Option(help="frames between exact products of vida")] = REFRESH,
    videos: Annotated[int, typer.Option(help="videos to average over")] = VIDEOS,
) -> None:
    """Print the quality of one method as JSON."""
    torch.set_num_threads(1)
    print(json.dumps(of_method(preset, name, steps, videos, refresh), indent=2))


if __name__ == "__main__":
    run(main)
