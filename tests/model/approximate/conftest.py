# SPDX-License-Identifier: Apache-2.0
"""Real operands of the tiny network, from its dense integer sampling."""

from functools import cache

import pytest

from model.exact.operators import Job, Operators
from model.exact.step import denoise
from model.quantise import load_quantised


@cache
def _captured():
    network, jobs = load_quantised("tiny")[0], {}

    def record(job: Job) -> None:
        jobs[job.site.kind, job.site.layer, job.step] = job

    operators, video = Operators(record), network.noise[0]
    for step in range(13):
        video = denoise(network, video, int(network.label[0]), step, 50, operators)
    return network, jobs


@pytest.fixture
def network():
    return _captured()[0]


@pytest.fixture
def jobs():
    """By (kind, layer, step): layer 0 is spatial, 1 temporal, steps 0..12 of 50."""
    return _captured()[1]
