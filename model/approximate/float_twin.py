# SPDX-License-Identifier: Apache-2.0
"""Float twins of the methods: a sampling run with their decisions on float operands and with float products.

    twin = load_twin("small")
    videos = sample([CMCConfig()], twin, noise, labels, steps=20)

A twin's loss against the float network is the method's own; the integer method's against int8 dense is with int8's
part in its decisions. Ditto's twin is the float network, since Ditto is exact. DiTo's matching timesteps, found
offline, are the integer network's. `python -m model.approximate.float_twin` prints both losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import typer
from torch import Tensor

from model.approximate.build import build as integers
from model.approximate.build import features
from model.approximate.chain import Approximate
from model.approximate.config import Config, ViDAConfig, check_together
from model.approximate.float_features import TWINS, FloatOperators, FloatViDA
from model.approximate.float_network import FloatTwin
from model.approximate.measure import sample_dense, sample_in_float, starts
from model.approximate.settings import SETTINGS, choose
from model.approximate.work import Work
from model.autoencoder import to_pixels
from model.checkpoints import load_network
from model.command import run
from model.metrics import compare
from model.quantise import load_quantised
from model.sample import STEPS, sample_integer, to_float


def load_twin(preset: str) -> FloatTwin:
    """Of the committed float and integer networks `preset`."""
    return FloatTwin(load_network(preset)[0], load_quantised(preset)[0])


def build(configs: Sequence[Config], twin: FloatTwin, steps: int = STEPS) -> Approximate:
    """Fresh operators for one float sampling run of `steps` steps; raises `VidaError` as `model.approximate.build`.

    Nothing is counted: what is left of a method's work is the integer run's to say.
    """
    check_together(configs)
    work = Work()
    vida = next((config for config in configs if isinstance(config, ViDAConfig)), None)
    frames = twin.quantised.config.frames
    exact = FloatOperators if vida is None else lambda record: FloatViDA(vida, frames, record)
    return Approximate(features(configs, twin.quantised, steps, work, TWINS), work, exact=exact, counting=False)


def sample(configs: Sequence[Config], twin: FloatTwin, noise: Tensor, label: Sequence[int],
           steps: int = STEPS) -> Tensor:
    """Videos (V, F, [C,] H, W), float64, from int16 `noise` of that shape and classes `label` (V,)."""
    videos = []
    for start, one in zip(noise, label, strict=True):
        operators, video = build(configs, twin, steps), to_float(start).double()
        for step in range(steps):
            operators.begin(step)
            video = video + twin.velocity(video, step / steps, int(one), operators) / steps
        videos.append(video)
    return torch.stack(videos)


def psnr_of_both(preset: str, configs: tuple[Config, ...], steps: int, videos: int) -> tuple[float, float]:
    """PSNR in dB of the float twin against float, and of the integer method against int8 dense; infinite if equal.

    Differences of less than float32 makes count as none: above 100 dB.
    """
    twin = load_twin(preset)
    network = twin.quantised
    noise, label = starts(network, videos)
    found = sample(configs, twin, noise, label, steps).float()
    integer = [sample_integer(network, start, one, integers(configs, network, steps, counting=False), steps)
               for start, one in zip(noise, label, strict=True)]
    pairs = ((found, sample_in_float(preset, steps, videos)),
             (torch.stack(integer), sample_dense(preset, steps, videos).videos))
    measured = [compare(*(to_pixels(network.config, each) for each in pair))["psnr_db"] for pair in pairs]
    return (math.inf if measured[0] > 100 else measured[0]), measured[1]


def main(
    preset: Annotated[str, typer.Option(help="which network")] = "small",
    setting: Annotated[list[str] | None, typer.Option(help="settings by name, as `vida quality`")] = None,
    steps: Annotated[int, typer.Option(help="50, 20 or 8")] = 8,
    videos: Annotated[int, typer.Option(help="videos to average over", min=1)] = 1,
) -> None:
    """Print the loss of each method's twin against float, and that of its integers against int8, as PSNR in dB."""
    torch.set_num_threads(1)
    for name in choose([], setting or []):
        real, integer = psnr_of_both(preset, SETTINGS[name], steps, videos)
        print(f"{name:36} float {real:6.1f}  int8 {integer:6.1f}", flush=True)


if __name__ == "__main__":
    run(main)
