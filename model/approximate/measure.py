# SPDX-License-Identifier: Apache-2.0
"""Whole sampling runs by a setting: the videos, the work that was left, and their quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.approximate.build import build, dito_steps
from model.approximate.config import Config, DiToConfig
from model.approximate.work import Work
from model.autoencoder import to_pixels
from model.evaluate import float_videos, integer_videos, quality, starts
from model.exact.network import QuantisedNetwork
from model.networks import preset as network_preset
from model.quantise import load_quantised
from model.sample import sample_integer

#: Videos whose work is counted; the others are sampled for their quality alone.
COUNTED = 1


@dataclass(frozen=True)
class Samples:
    """Videos (V, F, H, W) in int16 places held as int64, and the work of the first of them."""

    videos: Tensor
    work: Work


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
    dense, real = integer_videos(preset, "dense", steps, videos), float_videos(preset, steps, videos)
    return quality(preset, to_pixels(network_preset(preset), samples.videos), dense, real) | work_facts(samples.work)
