# SPDX-License-Identifier: Apache-2.0
"""Float twins of the methods: a sampling run with their decisions on float operands and with float products.

    twin = load_twin("small")
    videos = sample([CMCConfig()], twin, noise, labels, steps=20)

A twin's loss against the float network is the method's own; the integer method's against int8 dense is with int8's
part in its decisions. Ditto's twin is the float network, since Ditto is exact. DiTo's matching timesteps, found
offline, are the integer network's. `vida quality --twins` shows both losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from model.approximate.build import features
from model.approximate.chain import Approximate
from model.approximate.config import Config, ViDAConfig, check_together
from model.approximate.float_features import TWINS, FloatOperators, FloatViDA
from model.approximate.float_network import FloatTwin
from model.approximate.work import Work
from model.autoencoder import to_pixels
from model.checkpoints import load_network
from model.evaluate import float_videos, starts
from model.metrics import compare
from model.quantise import load_quantised
from model.sample import STEPS, to_float

#: PSNR above which two float runs are taken as equal.
EQUAL_DB = 100.0


@cache
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


def twin_float_db(preset: str, configs: Sequence[Config], steps: int, videos: int) -> float | None:
    """PSNR in dB of the float twin's videos against the float network's, the mean over `videos`; None where equal.

    Differences of less than float32 makes count as none: above `EQUAL_DB`.
    """
    twin = load_twin(preset)
    found = to_pixels(twin.quantised.config, sample(configs, twin, *starts(twin.quantised, videos), steps).float())
    close = compare(found, float_videos(preset, steps, videos))["psnr_db"]
    return close if close <= EQUAL_DB else None
