# SPDX-License-Identifier: Apache-2.0
import torch

from model.exact.operators import Job, Site
from model.statistics import Similarity, frame_differences, similarity, tail


def job(kind, axis, current, right):
    zero = torch.zeros((), dtype=torch.int64)
    return Job(Site(kind, 0, axis), 1, "none", "single", 0, current, torch.zeros_like(current), right, zero, zero)


def test_classes_are_those_of_the_digits():
    found = Similarity()
    found.add("timestep", "fc1", torch.tensor([0, 0, 7, -8, 8, -9, 255]), 2)
    found.add("timestep", "fc2", torch.tensor([0]), 2)
    assert found.shares("timestep", "fc1") == [28.57, 28.57, 42.86]
    assert found.shares("timestep") == [37.5, 25.0, 37.5]
    assert found.shares("frame") == [0, 0, 0]


def test_frame_differences_are_of_operands_that_have_a_frame_axis():
    current, right = torch.arange(24).reshape(2, 3, 4) ** 2, torch.ones(4, 5)
    [(difference, times)] = frame_differences(job("fc1", "temporal", current, right))
    assert torch.equal(difference, current[1:] - current[:1]) and times == 5
    left, keys = torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 4, 7)
    assert [times for _, times in frame_differences(job("scores", "spatial", left, keys))] == [7, 3]
    assert [times for _, times in frame_differences(job("scores", "cross", left, keys))] == [7]
    for axis in ("temporal", "full"):
        assert not list(frame_differences(job("values", axis, left, keys)))


def test_mask_counts_idle_elements_and_columns():
    hidden = torch.zeros(32, 10, dtype=torch.int64)
    hidden[:, :2] = 9
    hidden[3, 4] = 9
    found = Similarity()
    found.add_mask(hidden)
    assert found.idle("elements") == 100  # one too many for the 20 % that may stay: the threshold rises above all
    hidden[3, 4] = 1
    found = Similarity()
    found.add_mask(hidden)
    assert [found.idle(name) for name in ("elements", "tile columns", "columns")] == [80, 80, 80]


def test_timesteps_are_more_alike_than_originals_and_shares_are_whole():
    found = similarity("tiny", steps=8, videos=1)
    zero = {name: found.shares(name)[0] for name in ("original", "timestep")}
    assert zero["timestep"] > 2 * zero["original"]
    for name in ("original", "timestep", "frame"):
        assert abs(sum(found.shares(name)) - 100) < 0.1


def test_short_rows_lose_little_to_seven_bits():
    assert 0 < tail("tiny")["temporal"] < 1
