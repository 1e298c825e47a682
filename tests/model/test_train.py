# SPDX-License-Identifier: Apache-2.0
import torch

from model.checkpoints import load_network
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
    for name in ("tiny", "small", "full"):
        network, facts = load_network(name)
        assert facts["command"].startswith(f"python -m model.train --preset {name} ")
        with torch.no_grad():
            assert flow_loss(network, 32, 1 << 45) < 0.12  # an untrained network has about 1.4
