# SPDX-License-Identifier: Apache-2.0
"""Operands for the tests of laws: captured from the tiny network's integer sampling, and random ones."""

from functools import cache

import pytest
import torch

from model.exact.operators import Job, Operators
from model.exact.step import denoise
from model.quantise import load_quantised


@cache
def _captured(kind, layer=0, preset="tiny", steps=(25,)):
    network, jobs = load_quantised(preset)[0], []

    def record(job: Job) -> None:
        if job.site.kind == kind and job.site.layer == layer and job.step in steps:
            jobs.append(job)

    operators, video = Operators(record), network.noise[0]
    for step in range(max(steps) + 1):
        video = denoise(network, video, int(network.label[0]), step, 50, operators)
    return jobs


@pytest.fixture
def captured():
    """The jobs of an operator, whole operands: captured(kind, layer=0, preset="tiny", steps=(25,))."""
    return _captured


@pytest.fixture
def integers():
    """Random integers: integers(*shape, low=-128, high=128, seed=0)."""

    def draw(*shape, low=-128, high=128, seed=0):
        return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))

    return draw
