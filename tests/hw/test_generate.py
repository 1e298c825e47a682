# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hw import generate as module
from hw.config import load_config
from hw.errors import VidaError
from hw.generate import generate
from hw.version import VERSION
from hw.workspace import check_writable, written_whole


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generate(load_config("tiny"), tmp_path_factory.mktemp("made"))


def test_same_bytes_twice(made, tmp_path):
    again = generate(load_config("tiny"), tmp_path)
    assert again.verilog.read_bytes() == made.verilog.read_bytes()
    assert again.manifest.read_bytes() == made.manifest.read_bytes()


def test_manifest_describes_the_verilog(made):
    text = made.verilog.read_text()
    manifest = json.loads(made.manifest.read_text())
    assert manifest["format"] == 1 and manifest["vida"] == VERSION
    assert manifest["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert manifest["configuration"]["ccpes"] == 2
    top = text[text.index(f"module {manifest['top']}("):]
    head = [name.strip() for name in top[top.index("(") + 1:top.index(")")].split(",")]
    assert head == ["clk", "rst", *(port["name"] for port in manifest["ports"])]
    for port in manifest["ports"]:
        width = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        sign = "signed " if f"{port['direction']} signed {width}{port['name']};" in top else ""
        assert f"  {port['direction']} {sign}{width}{port['name']};" in top


def test_headers_lie_beside_it(made):
    names = json.loads(made.manifest.read_text())["headers"]
    isa, registers = (made.manifest.with_name(name).read_text() for name in names)
    assert names == ["vida_isa.h", "vida_registers.h"]
    assert "#define VIDA_OPCODE_MATMUL 4" in isa and "PEG0_DIGITS" in registers


def test_ports_are_readable(made):
    names = {port["name"]: port for port in json.loads(made.manifest.read_text())["ports"]}
    assert names["m_axi_araddr"]["direction"] == "output" and names["m_axi_araddr"]["width"] == 64
    assert names["s_axil_wdata"]["direction"] == "input" and names["irq"]["width"] == 1
    assert names["activity_3_tag"]["direction"] == "output"
    assert not [name for name in names if "payload" in name or "__" in name]


def test_output_is_the_users(made):
    lines = made.verilog.read_text().splitlines()
    assert lines[0] == "// SPDX-License-Identifier: CC0-1.0" and "this file is yours" in lines[1]
    assert load_config("tiny").digest() in lines[2]


def test_one_module_for_each_distinct_block(made):
    text = made.verilog.read_text()
    assert made.modules == text.count("\nmodule ") == len(set(text.split("\nmodule "))) - 1
    assert text.count("\n  ccpe ccpe_") == 2 and text.count("\nmodule ccpe(") == 1


def test_no_torch(tmp_path):
    code = ("import sys; sys.modules['torch'] = None\nfrom hw.config import load_config\n"
            "from hw.generate import generate\n"
            f"generate(load_config('tiny'), {str(tmp_path)!r})")
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=100)
    assert (tmp_path / "tiny.v").exists()


def test_nothing_half_written_when_it_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "verilog_text", lambda config: ("module vida_tiny(); endmodule", []))
    monkeypatch.setattr(module, "manifest", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    target = tmp_path / "new" / "folder"
    with pytest.raises(VidaError, match=r"cannot write to .*/new/folder: No space left on device"):
        generate(load_config("tiny"), target)
    assert not (tmp_path / "new").exists()


def test_a_full_folder(tmp_path):
    (tmp_path / "old").write_text("kept")
    with pytest.raises(VidaError, match="cannot write"), written_whole(tmp_path) as staging:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            (staging / "big").write_text("x" * 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("place", ["/proc/vida", "file/inside"])
def test_a_folder_that_cannot_be(place, tmp_path):
    (tmp_path / "file").write_text("")
    target = Path(place) if place.startswith("/") else tmp_path / place
    with pytest.raises(VidaError, match="cannot write to"):
        generate(load_config("tiny"), target)


@pytest.mark.parametrize(("changes", "message"), [
    ({"ccpes": 3}, r"ccpes is 3: 1, 2, 4 or 8 allowed; scan is 8: a power of two that divides 4 x ccpes = 12 allowed"),
    ({"ccpes": 1}, "scan is 8: a power of two that divides 4 x ccpes = 4 allowed"),
    ({"vector_lanes": 2}, "vector_lanes is 2: a multiple of 4 allowed")])
def test_what_makes_no_machine_is_refused(changes, message, tmp_path):
    with pytest.raises(VidaError, match=f"makes no machine: {message}"):
        generate(load_config("paper").replace(**changes), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_asked_before_a_long_run(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(VidaError, match=f"cannot write to {folder}: Not a directory"):
            check_writable(folder)
    check_writable(tmp_path / "new" / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
