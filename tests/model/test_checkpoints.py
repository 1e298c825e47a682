# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from hw.errors import VidaError
from model import checkpoints
from model.networks import preset
from model.quantise import load_quantised
from model.transformer import VideoTransformer


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.safetensors"
    checkpoints.save_network(path, VideoTransformer(preset("tiny")), {"command": "none"})
    return path


def test_network_survives_the_file(tiny):
    network, facts = checkpoints.load_network("tiny", tiny)
    assert facts["command"] == "none" and network.config == preset("tiny")


@pytest.mark.parametrize("load", [checkpoints.load_network, load_quantised])
def test_another_shape_is_refused(tiny, load):
    with pytest.raises(VidaError, match="tiny.safetensors holds a network of shape.*'dim': 32.*expected.*'dim': 96"):
        load("small", tiny)


def test_missing_tensor_is_refused(tiny):
    tensors, facts = checkpoints.read(tiny)
    del tensors["head.bias"]
    checkpoints.write(tiny, tensors, facts)
    with pytest.raises(VidaError, match="tiny.safetensors: tensor 'head.bias' is nothing"):
        checkpoints.load_network("tiny", tiny)
    with pytest.raises(VidaError, match="'tables.exp2.bases'"):
        load_quantised("tiny", tiny)


def test_other_format_and_corruption_are_refused(tiny, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other, metadata={"format": "2"})
    with pytest.raises(VidaError, match="other.safetensors has format 2, only format 1"):
        checkpoints.read(other)
    tiny.write_bytes(tiny.read_bytes()[:100])
    with pytest.raises(VidaError, match="tiny.safetensors is not a readable"):
        checkpoints.read(tiny)
    with pytest.raises(VidaError, match="no such file: .*none.safetensors"):
        checkpoints.read(tmp_path / "none.safetensors")


def test_unwritable_folder_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VidaError, match="cannot write"):
        checkpoints.write(tmp_path / "file" / "x.safetensors", {"x": torch.zeros(1)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_command_reports_a_mistake_in_one_line(tiny):
    command = [sys.executable, "-m", "model.quantise", "--preset", "small", "--checkpoint", str(tiny)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith(f"error: {tiny} holds a network of shape") and run.stderr.count("\n") == 1
