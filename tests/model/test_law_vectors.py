# SPDX-License-Identifier: Apache-2.0
import importlib
import json
import os
import subprocess
import sys

import torch

from model import checkpoints
from model.law_vectors import digest, entries, write

#: One hash on any machine; a law that changes on purpose changes it.
SHA256 = "e6cfa9b06a12521e"


def test_entries_are_one_hash_anywhere_and_name_their_law():
    found = entries()
    assert digest(found)[:16] == SHA256
    assert len({one.name for one in found}) == len(found)
    for one in found:
        module, name = one.law.rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module), name)), one.law


def test_written_tensors_are_those_of_the_laws(tmp_path):
    found = entries()
    write(tmp_path / "laws", found, "a command")
    tensors, metadata = checkpoints.read(tmp_path / "laws.safetensors")
    index = json.loads((tmp_path / "laws.json").read_text())
    assert index["format"] == 1 and index["command"] == metadata["command"] == "a command"
    assert [line["name"] for line in index["entries"]] == [one.name for one in found]
    for one in found:
        for side, part in (("in", one.inputs), ("out", one.outputs)):
            for key, value in part.items():
                assert torch.equal(tensors[f"{one.name}.{side}.{key}"].long(), value.long())


def test_plain_instructions_give_the_same(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "ATEN_CPU_CAPABILITY": "default"}
    command = [sys.executable, "-m", "model.law_vectors", "--stem", str(tmp_path / "laws")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    assert SHA256 in run.stdout
