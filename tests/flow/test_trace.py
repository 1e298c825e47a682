# SPDX-License-Identifier: Apache-2.0
"""`vida trace` end to end, and what it refuses before anything is written."""

import builtins
import io
import json
import sys

import pytest
import torch
from rich.console import Console

from flow import cli
from flow.trace import Order, parse_size, trace
from hw.errors import VidaError
from model import vectors
from model.attach.loading import TINY, random_weights
from model.attach.subjects import Size


def _order(folder, **fields):
    base = dict(model="network:tiny", weights=None, random=False, steps=3, layers=("*",), reference="timestep",
                size=Size(), seed=1, output=folder, rows=8, columns=8)
    return Order(**base | fields)


def _trace(order):
    page = io.StringIO()
    trace(order, Console(file=page, width=200))
    return page.getvalue(), json.loads((order.output / "statistics.json").read_text())


@pytest.mark.parametrize("name", TINY)
def test_trace_of_a_class(name, tmp_path):
    random_weights(name).save_pretrained(tmp_path / "weights")
    size = Size(2, 8, 8) if name == "WanTransformer3DModel" else Size()
    order = _order(tmp_path / "out", model=f"diffusers:{name}", weights=tmp_path / "weights", size=size)
    text, found = _trace(order)
    assert found["format"] == 1 and found["model"] == name and found["steps"] == 3
    kinds = {layer["kind"] for layer in found["layers"]}
    assert kinds == {"qkv", "scores", "values", "out", "fc1", "fc2", "linear"}
    for layer in found["layers"]:
        assert sum(layer["none"]["all"]) == pytest.approx(1) and len(layer["none"]["by_step"]) == 3
        assert layer["timestep"]["by_step"][0] is None and layer["macs_done"] == layer["macs"] > 0
        assert layer["layer"] in text
    assert found["all"]["macs"] == sum(layer["macs"] for layer in found["layers"])
    assert found["all"]["timestep"]["by_step"][0] is None and "\nall " in text
    assert found["uncovered"] and all(one["reason"] in text for one in found["uncovered"])
    frames = any(layer["frame"]["all"] for layer in found["layers"])
    assert frames == (name != "DiTTransformer2DModel")
    _check_operands(tmp_path / "out" / "operands")


def _check_operands(stem):
    entries = vectors.read(stem)
    assert {entry.reference_kind for entry in entries} == {"timestep"} and {entry.step for entry in entries} == {1, 2}
    assert {entry.product for entry in entries} >= {"single", "first", "second"}
    for entry in entries:
        assert torch.equal(entry.result, entry.init + (entry.current - entry.reference) @ entry.right), entry.name
        assert max(entry.result.shape) <= 8


def test_trace_of_frames(tmp_path):
    _trace(_order(tmp_path, model="diffusers:LatteTransformer3DModel", random=True, reference="frame", steps=2))
    entries = vectors.read(tmp_path / "operands")
    assert {entry.reference_kind for entry in entries} == {"frame"}
    assert {entry.product for entry in entries} == {"single", "one"}


def test_trace_of_a_network(tmp_path):
    text, found = _trace(_order(tmp_path, layers=("blocks.0.*",), reference="none"))
    assert {layer["layer"].split(".")[1] for layer in found["layers"]} == {"0"}
    assert {entry.reference_kind for entry in vectors.read(tmp_path / "operands")} == {"none"}
    assert "modulation: conditioning" in text


WRONG = {
    "model": ({"model": "diffusers:UNet"}, "unknown model 'diffusers:UNet': choose one of diffusers:Latte"),
    "folder of a network": ({"weights": "/"}, "network:tiny with --weights /: a file of `python"),
    "network": ({"model": "network:huge"}, "unknown model 'network:huge'"),
    "no weights": ({"model": "diffusers:DiTTransformer2DModel"}, "needs --weights DIR"),
    "no folder": ({"model": "diffusers:DiTTransformer2DModel", "weights": "none"}, "no such folder"),
    "both": ({"model": "diffusers:DiTTransformer2DModel", "weights": "none", "random": True}, "give one of both"),
    "random network": ({"random": True}, "is a trained network of fixed size"),
    "reference": ({"reference": "layer"}, "unknown reference 'layer': choose one of none, timestep"),
    "layers": ({"layers": ("head", "tail")}, "no covered layer is named 'tail'"),
    "size": ({"model": "diffusers:DiTTransformer2DModel", "random": True, "size": Size(1, 9, 9)},
             "refuses a video of shape (1, 4, 9, 9)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_orders_write_nothing(what, tmp_path):
    fields, message = WRONG[what]
    if "weights" in fields:
        fields = fields | {"weights": tmp_path / fields["weights"]}
    with pytest.raises(VidaError) as raised:
        _trace(_order(tmp_path / "out", **fields))
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VidaError, match="cannot write to"):
        _trace(_order(tmp_path / "file" / "out"))


def test_without_diffusers(tmp_path, monkeypatch):
    imported = builtins.__import__

    def refuse(name, *rest):
        if name == "diffusers":
            raise ImportError("No module named 'diffusers'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(VidaError, match=r"diffusers is not installed .*: pip install 'vida\[diffusers\]'"):
        _trace(_order(tmp_path, model="diffusers:DiTTransformer2DModel", random=True))


def test_the_command(tmp_path, monkeypatch, capsys):
    words = ["vida", "trace", "--model", "network:tiny", "--steps", "2", "--layers", "head", "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        sys.exit(cli.main())
    assert not ended.value.code and "head" in capsys.readouterr().out
    assert (tmp_path / "operands.json").is_file()


def test_sizes():
    assert parse_size(3, "16x24") == Size(3, 16, 24) and parse_size(None, None) == Size()
    with pytest.raises(VidaError, match="size '16': HEIGHTxWIDTH"):
        parse_size(None, "16")
