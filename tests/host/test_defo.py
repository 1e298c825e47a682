# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from host.defo import candidates, worth_carrying
from host.driver import LawMachine, Sampler
from host.listing import work
from host.lower import lower
from hw.config import load_config
from model.exact.step import denoise
from model.methods import method
from model.networks import PRESETS
from model.quantise import load_quantised

SMALL, DEFAULT = PRESETS["small"], load_config("default")


def test_bytes_and_products_of_a_linear_operator():
    found = {one.name: one for one in candidates(SMALL)}
    rows, blocks = SMALL.frames * SMALL.tokens, 4
    assert found["fc2"].products == blocks * rows * 384 * 96
    assert found["fc2"].bytes == blocks * rows * (2 * 384 + 8 * 96)


def test_products_are_those_of_the_program():
    config, network = load_config("tiny"), load_quantised("tiny")[0]
    lowered = lower(network, config)
    done = work(lowered.step, lowered.operators, config)
    for one in candidates(network.config):
        blocks = [entry.products for name, entry in done.items() if name.rpartition(".")[2] == one.name]
        if one.name == "scores":
            blocks = blocks[:1]     # of the spatial block alone
        assert sum(blocks) == one.products, one.name


@pytest.mark.parametrize("config", [DEFAULT, load_config("paper")], ids=lambda config: config.name)
def test_a_faster_memory_never_carries_less(config):
    found = [worth_carrying(SMALL, config, width, 0.7, 0.25) for width in (0.01, 1, 8, 16, 32, 64, 128, 1e6)]
    assert all(slow <= fast for slow, fast in zip(found, found[1:]))
    assert not found[0] and found[-1] == {one.name for one in candidates(SMALL)}


def test_an_operator_whose_traffic_outlasts_its_whole_operands_by_far_is_not_carried():
    # fc2's whole operands take the array of `paper` 206,000 cycles; its traffic is 3.1 MB.
    paper = load_config("paper")
    assert worth_carrying(SMALL, paper, 8, 0.7, 0.25) == frozenset()
    assert worth_carrying(SMALL, paper, 16, 0.7, 0.25) == {"fc2"}
    assert worth_carrying(SMALL, paper, 64, 0.7, 0.25) == {"fc1", "fc2", "out", "qkv"}


def test_nothing_is_carried_that_saves_nothing():
    assert worth_carrying(SMALL, DEFAULT, 1e9, 0.5, 0.5) == frozenset()


def test_a_program_for_a_slow_memory_moves_less_and_is_as_exact():
    network, config = load_quantised("tiny")[0], load_config("tiny")
    programs = [lower(network, config, "ditto", width) for width in (64, 8)]
    moved = [sum(entry.bytes for entry in work(one.step, one.operators, config).values()) for one in programs]
    assert moved[1] < 0.8 * moved[0]
    assert any("embed, head, out, scores of whole operands" in note for note in programs[1].notes)
    sampler, video = Sampler(programs[1], LawMachine(config, programs[1].image.size)), network.noise[1]
    for step in (0, 1):
        want = denoise(network, video, 1, step, 50, method("dense"))
        assert torch.equal(sampler.step(video, 1, step, 50), want)
        video = want
