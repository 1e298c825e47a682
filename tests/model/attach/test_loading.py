# SPDX-License-Identifier: Apache-2.0
"""Folders of `save_pretrained`: loaded bit for bit, and refused by file, tensor and shape."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from hw.errors import VidaError
from model.attach.loading import TINY, load_folder, random_weights

NAME, FILE = "DiTTransformer2DModel", "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path):
    random_weights(NAME).save_pretrained(tmp_path / "dit")
    return tmp_path / "dit"


@pytest.mark.parametrize("name", TINY)
def test_a_saved_model_is_loaded_bit_for_bit(name, tmp_path):
    model = random_weights(name)
    model.save_pretrained(tmp_path, max_shard_size="40KB" if name == NAME else "1GB")
    assert (tmp_path / f"{FILE}.index.json").is_file() == (name == NAME)
    loaded = load_folder(name, tmp_path).state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(value, loaded[key]) for key, value in model.state_dict().items())


def _change(folder, change):
    tensors = load_file(folder / FILE)
    change(tensors)
    save_file(tensors, folder / FILE)


WRONG = {
    "missing": (lambda t: t.pop("proj_out_2.bias"), r"tensor 'proj_out_2.bias' of shape \(32,\) is missing"),
    "unexpected": (lambda t: t.update(other=torch.zeros(3)),
                   r"tensor 'other' of shape \(3,\) is not expected in a DiT"),
    "shape": (lambda t: t.update({"proj_out_2.bias": torch.zeros(3)}),
              r"tensor 'proj_out_2.bias' of shape \(3,\) is expected \(32,\)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_tensors(what, folder):
    change, message = WRONG[what]
    _change(folder, change)
    with pytest.raises(VidaError, match=message):
        load_folder(NAME, folder)


def test_wrong_folders(folder, tmp_path):
    with pytest.raises(VidaError, match="no such folder"):
        load_folder(NAME, tmp_path / "none")
    with pytest.raises(VidaError, match="config.json is of class DiTTransformer2DModel: give --model diffusers:DiT"):
        load_folder("WanTransformer3DModel", folder)
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(VidaError, match="no config.json; this is a whole pipeline, give .*transformer"):
        load_folder(NAME, tmp_path)
    whole = (folder / "config.json").read_text()
    (folder / "config.json").write_text(json.dumps({"num_layers": "two"}))
    with pytest.raises(VidaError, match="config.json describes no "):
        load_folder(NAME, folder)
    (folder / "config.json").write_text(whole)
    (folder / FILE).write_bytes(b"not safetensors")
    with pytest.raises(VidaError, match="not a readable safetensors file"):
        load_folder(NAME, folder)
    (folder / FILE).unlink()
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(VidaError, match="has no diffusion_pytorch_model.safetensors .*old format"):
        load_folder(NAME, folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(VidaError, match="cannot read"):
        load_folder(NAME, folder)
    (folder / "config.json").write_text(json.dumps([]))
    with pytest.raises(VidaError, match="config.json holds a list, an object with the fields of a"):
        load_folder(NAME, folder)
