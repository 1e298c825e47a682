# SPDX-License-Identifier: Apache-2.0
"""The kept Frechet distances are of the runs that the law gives today, and of the feature network that is there."""

import pytest
import torch

from flow.quality import frechet as kept
from flow.results import MANDATORY
from flow.steps.quality import COMPARED, COMPARED_STEPS
from model import frechet
from model.approximate.measure import sample_setting
from model.approximate.settings import DEFAULTS, SETTINGS
from model.evaluate import LEAST, integer_samples


def test_every_default_setting_has_a_distance():
    assert kept.NETWORKS == tuple(COMPARED) and max(COMPARED_STEPS) == kept.STEPS
    for network in kept.NETWORKS:
        found = kept.kept_distances(network)
        assert found.videos >= LEAST and found.steps == kept.STEPS
        assert set(found.to_source) == set(found.first) == {"dense", *DEFAULTS.values()}
        assert found.to_source["ditto"] == found.to_source["dense"] and found.first["ditto"] == found.first["dense"]
        assert {f"quality.{network}.{method}.frechet" for method in DEFAULTS} <= set(MANDATORY)


@pytest.mark.parametrize(("network", "methods"), [("tiny", tuple(DEFAULTS)), ("small", ("tome",)), ("full", ("vida",))])
def test_what_was_measured_is_what_the_methods_give(network, methods):
    first = {DEFAULTS[method]: sample_setting(network, SETTINGS[DEFAULTS[method]], kept.STEPS, 1).videos[0]
             for method in methods}
    first["dense"] = integer_samples(network, "dense", kept.STEPS, 1)[0]
    assert kept.kept_distances(network).stale(first) == [], f"measure again: {kept.COMMAND}"


def test_the_judge_is_the_one_that_measured():
    found = kept.kept_distances("tiny")
    mean, spread = frechet.floor("tiny", found.videos)
    assert (mean, spread) == pytest.approx((found.floor, found.spread), abs=0.01), f"measure again: {kept.COMMAND}"


def test_another_video_is_stale():
    found = kept.kept_distances("tiny")
    video = torch.zeros(4, 16, 16, dtype=torch.int64)
    assert found.stale({"dense": video, "unknown": video}) == ["dense", "unknown"]
    assert kept.fingerprint(video) == kept.fingerprint(video.int()) != kept.fingerprint(video + 1)
