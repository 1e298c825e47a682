# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.checkpoints import load_network
from model.networks import PRESETS
from model.train import Run, flow_loss, rate


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = Run("tiny", 3, 1.0, tmp_path / "whole")
    for _ in range(4):
        whole.advance(8, 4)
    first = Run("tiny", 3, 1.0, tmp_path / "parts")
    for _ in range(2):
        first.advance(8, 4)
    first.save("command", tmp_path / "parts" / "tiny.safetensors")
    second = Run("tiny", 3, 1.0, tmp_path / "parts")
    second.resume()
    for _ in range(2):
        second.advance(8, 4)
    assert second.step == whole.step == 4 and second.loss == whole.loss
    for a, b in zip(second.average.parameters(), whole.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_rate_warms_up_holds_and_falls_to_zero():
    assert rate(0, 1000) == 0.01 and rate(500, 1000) == 1.0
    assert rate(850, 1000) == 0.5 and rate(1000, 1000) == 0


def test_committed_networks_have_learnt():
    for name in PRESETS:
        network, facts = load_network(name)
        assert facts["command"].startswith(f"python -m model.train --preset {name} ")
        with torch.no_grad():
            allowed = 0.12 if network.config.channels == 1 else 0.3  # untrained networks have about 1.4 and 2
            assert flow_loss(network, 32, 1 << 45) < allowed


def test_run_begins_with_the_weights_of_a_preset_of_its_shape(tmp_path):
    training, trained = Run("vdt", 0, 1.0, tmp_path), load_network("correlated")[0]
    training.begin_with("correlated")
    for network in (training.network, training.average):
        for mine, theirs in zip(network.parameters(), trained.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    with pytest.raises(VidaError, match="vdt cannot begin with the weights of tiny: its tensors have other shapes"):
        training.begin_with("tiny")
