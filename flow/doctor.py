# SPDX-License-Identifier: Apache-2.0
"""What the machine has of the tools that vida uses, and the line that installs what is missing."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flow.explore.extra import INSTALL as EXPLORE_INSTALL
from hw.errors import VidaError
from hw.yosys import INSTALL as YOSYS_INSTALL
from synth import liberty
from verif.simulator import object_cache
from verif.verilator import find_compiler, find_verilator


@dataclass(frozen=True)
class Finding:
    """One tool: `found` says which version and where, or why not; `needed` for what."""

    tool: str
    ok: bool
    found: str
    needed: str
    optional: bool = False


def examine(pdk: Path | None = None) -> list[Finding]:
    """Look for every tool; `pdk` is the folder of Liberty files (default: $VIDA_PDK)."""
    return [
        Finding("Python", sys.version_info >= (3, 11), ".".join(map(str, sys.version_info[:3])), "everything (3.11)"),
        _package("amaranth", "generating Verilog", "pip install amaranth==0.5.10"),
        _package("pyosys", "Verilog, area, timing", YOSYS_INSTALL),
        _package("cocotb", "benches", "pip install cocotb==2.1.0"),
        _package("pyslang", "lint of the Verilog", "pip install pyslang==12.1.0"),
        _package("torch", "networks and the integer law", "pip install torch==2.13.0"),
        _tool("C++ compiler, make", lambda: str(find_compiler()), "simulation"),
        _tool("Verilator", _verilator, "simulation"),
        Finding("ccache", True, shutil.which("ccache") or f"none, own object cache {object_cache()}",
                "faster rebuilds", optional=True),
        _package("dask", "vida explore", EXPLORE_INSTALL, optional=True),
        _package("diffusers", "vida trace --model diffusers:...", "pip install 'vida[diffusers]'", optional=True),
        _libraries(pdk),
    ]


def _package(name: str, needed: str, install: str, optional: bool = False) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name), needed, optional)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, f"missing: {install}", needed, optional)


def _tool(name: str, find: Callable[[], str], needed: str) -> Finding:
    try:
        return Finding(name, True, find(), needed)
    except VidaError as error:
        return Finding(name, False, str(error), needed)


def _verilator() -> str:
    tool = find_verilator()
    return f"{tool.version[0]}.{tool.version[1]:03d} ({tool.origin}), {tool.executable}"


def _libraries(pdk: Path | None) -> Finding:
    names = liberty.available(pdk)
    none = "none: set VIDA_PDK to a folder of .lib or .lib.gz files" if pdk is None else f"none in {pdk}"
    return Finding("Liberty files", bool(names), ", ".join(names) or none,
                   "um2 and picoseconds (else gate equivalents)", optional=True)
