# SPDX-License-Identifier: Apache-2.0
"""Whole sampling runs by a setting: the videos, the work that was left, and their quality."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model import frechet
from model.approximate.build import build, dito_steps
from model.approximate.config import Config, DiToConfig
from model.approximate.work import Work
from model.autoencoder import to_pixels
from model.checkpoints import load_network
from model.exact.network import QuantisedNetwork
from model.exact.operators import Operators
from model.metrics import compare
from model.networks import preset as network_preset
from model.quantise import EVALUATION_SEED, load_quantised
from model.sample import sample_float, sample_integer, starting_noise

#: Videos whose work is counted; the others are sampled for their quality alone.
COUNTED = 1
#: Fewest videos that a Frechet distance is given for.
LEAST = 8
_AGAINST_FLOAT = {"psnr_db": "psnr_float_db", "ssim": "ssim_float", "cosine": "cosine_float"}


@dataclass(frozen=True)
class Samples:
    """Videos (V, F, H, W) in int16 places held as int64, and the work of the first of them."""

    videos: Tensor
    work: Work


def starts(network: QuantisedNetwork, videos: int) -> tuple[Tensor, list[int]]:
    """Starting noise (V, F, H, W) and classes of `videos` videos: the committed ones, then more, drawn here."""
    noise, classes = network.noise, network.config.classes
    if videos > len(noise):
        more = starting_noise(network.config, videos - len(noise), EVALUATION_SEED + 1)
        noise = torch.cat([noise, more])
    return noise[:videos], [place % classes for place in range(videos)]


def sample_dense(preset: str, steps: int, videos: int) -> Samples:
    """Videos of the int8 network by whole operands, nothing counted."""
    network = load_quantised(preset)[0]
    runs = zip(*starts(network, videos), strict=True)
    found = [sample_integer(network, noise, label, Operators(), steps) for noise, label in runs]
    return Samples(torch.stack(found), Work())


def sample_in_float(preset: str, steps: int, videos: int) -> Tensor:
    """Videos (V, F, H, W) of the float network from the same noise, real values."""
    noise, label = starts(load_quantised(preset)[0], videos)
    return sample_float(load_network(preset)[0], noise, torch.tensor(label), steps)


def sample_setting(preset: str, configs: tuple[Config, ...], steps: int, videos: int) -> Samples:
    """Videos by the methods of `configs`; the work of the first `COUNTED`."""
    network, work, found = load_quantised(preset)[0], Work(), []
    fixed = [_with_interval(config, network, steps) for config in configs]
    for place, (noise, label) in enumerate(zip(*starts(network, videos), strict=True)):
        operators = build(fixed, network, steps, counting=place < COUNTED)
        found.append(sample_integer(network, noise, label, operators, steps))
        if place < COUNTED:
            work.add(operators.work)
    return Samples(torch.stack(found), work)


def _with_interval(config: Config, network: QuantisedNetwork, steps: int) -> Config:
    """A DiTo with the constant interval that its pair match ratio gives: found once, not for every video."""
    if not isinstance(config, DiToConfig) or config.adaptive:
        return config
    later = [step for step in dito_steps(network, config, steps) if step]
    return config.model_copy(update={"interval": min(later, default=steps)})


def quality(preset: str, videos: Tensor, dense: Tensor, real: Tensor) -> dict[str, float | None]:
    """PSNR, SSIM and cosine against int8 dense and against float, and the Frechet distance to the training source.

    videos, dense, real : (V, F, H, W), real pixels. PSNR is None for equal videos, the distance for too few of them.
    """
    found: dict[str, float | None] = dict(compare(videos, dense))
    found |= {_AGAINST_FLOAT[name]: value for name, value in compare(videos, real).items()}
    found = {name: value if math.isfinite(value) else None for name, value in found.items()}
    found["frechet"] = frechet.to_source(preset, videos) if len(videos) >= LEAST else None
    return found


def work_facts(work: Work) -> dict[str, Any]:
    """Shares of the dense network's multiply-accumulates, digits (two an operand) and bytes that a run had left."""
    return {
        "work_left": work.left,
        "digits_left": work.digits_left,
        "bytes_left": work.bytes_left,
        "classes": list(work.classes),
        "work_left_by_kind": {kind: work.left_of(kind) for kind in work.total},
        "zeros": {name: [share for _, share in sorted(line.items())] for name, line in work.zeros.items()},
        "extra": dict(work.extra),
    }


def measure(preset: str, configs: tuple[Config, ...], steps: int, videos: int) -> dict[str, Any]:
    """`quality` and `work_facts` of a setting."""
    samples = sample_setting(preset, configs, steps, videos)
    dense, real = sample_dense(preset, steps, videos), sample_in_float(preset, steps, videos)
    runs = (to_pixels(network_preset(preset), each) for each in (samples.videos, dense.videos, real))
    return quality(preset, *runs) | work_facts(samples.work)
