# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest
import torch

from hw.errors import VidaError
from model import vectors
from model.capture import capture, golden_selections
from model.exact.operators import matmul
from model.quantise import load_quantised

RECOMPUTE = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
from model.capture import capture, golden_selections
from model.quantise import load_quantised
for entry in capture(load_quantised("small")[0], "small", golden_selections((5,))):
    print(entry.name, entry.digest())
"""


@pytest.mark.parametrize(("threads", "capability"), [(1, None), (2, None), (1, "default")])
def test_vectors_have_one_hash_anywhere(threads, capability):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_WAIT_POLICY": "PASSIVE"}
    if capability:
        environment["ATEN_CPU_CAPABILITY"] = capability
    command = [sys.executable, "-c", RECOMPUTE, str(threads)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    found = dict(line.split() for line in run.stdout.splitlines())
    committed = vectors.read_index(vectors.GOLDEN)["entries"]
    assert found == {line["name"]: line["sha256"] for line in committed if line["step"] == 5}


def test_committed_vectors_obey_the_law():
    entries = vectors.read()
    assert vectors.digest(entries) == vectors.read_index(vectors.GOLDEN)["sha256"]
    for entry in entries:
        product = matmul(entry.current - entry.reference, entry.right)
        assert torch.equal(entry.result, entry.init + product), entry.name


def test_committed_vectors_cover_what_the_benches_need():
    seen = {(e.kind, e.product, e.layer, e.step, e.frame) for e in vectors.read() if e.kind in ("scores", "values")}
    for kind in ("scores", "values"):
        for product in ("first", "second", "one"):
            places = {place[2:] for place in seen if place[:2] == (kind, product)}
            assert [len({p[axis] for p in places}) for axis in range(3)] == [2, 3, 4]
    linear = {(e.kind, e.reference_kind) for e in vectors.read()}
    assert linear >= {(k, r) for k in ("qkv", "fc1", "fc2") for r in ("none", "timestep", "frame")}


def test_committed_vectors_stay_small():
    paths = [vectors.GOLDEN.with_suffix(suffix) for suffix in (".safetensors", ".json")]
    assert sum(path.stat().st_size for path in paths) <= 2_000_000


@pytest.fixture
def copy(tmp_path):
    entries = capture(load_quantised("tiny")[0], "tiny", golden_selections((1,)))
    vectors.write(tmp_path / "copy", entries, "test")
    return tmp_path / "copy"


def test_other_format_is_refused(copy):
    index = copy.with_suffix(".json")
    index.write_text(index.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(VidaError, match="copy.json has format 9, only format 1"):
        vectors.read(copy)


def test_corrupt_tensor_is_refused(copy):
    path = copy.with_suffix(".safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(VidaError, match="copy.safetensors: entry .* does not match its hash"):
        vectors.read(copy)


def test_truncated_files_are_refused(copy):
    path, index = copy.with_suffix(".safetensors"), copy.with_suffix(".json")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(VidaError, match="copy.safetensors is not a readable"):
        vectors.read(copy)
    index.write_text(index.read_text()[:-7])
    with pytest.raises(VidaError, match="copy.json"):
        vectors.read(copy)
