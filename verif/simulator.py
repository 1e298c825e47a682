# SPDX-License-Identifier: Apache-2.0
"""Compile Verilog with Verilator once, run cocotb benches on it many times.

Compiled simulators are kept in `build/sim-cache`, named by a hash of the Verilog, the flags and the tools, so that a
second run compiles nothing. The cocotb runner's own command makes every signal writable from Python, which halves the
simulator's speed and doubles its build; here only the top's ports are.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb_tools.config
import find_libpython

import hw
from hw.errors import VidaError
from hw.toolbox import run_tool
from hw.workspace import build_folder
from verif.verilator import VerilatorTool, find_compiler, find_verilator

#: The environment variable in which `run_bench` hands its parameters to the bench, as JSON.
PARAMETERS = "VIDA_BENCH"
#: Never a mark of a fault in generated Verilog; the strict list is `make lint`'s.
_RELAXED = ("-Wno-fatal", "-Wno-lint", "-Wno-style")
_FAST = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert")


@dataclass(frozen=True)
class Simulator:
    """A compiled simulator: `executable` of module `top`; `waves` and `coverage` say what it can record."""

    executable: Path
    top: str
    verilog: str
    waves: bool
    coverage: bool
    seconds: float  #: what compiling took; 0.0 where it was kept from before


@dataclass(frozen=True)
class CaseResult:
    """One cocotb test: `message` is the first line of its failure, "" where it passed."""

    name: str
    passed: bool
    message: str
    seconds: float


@dataclass(frozen=True)
class BenchResult:
    """One run of a bench module: its cases, and where log, waves (VCD) and coverage lie."""

    cases: tuple[CaseResult, ...]
    workdir: Path
    log: Path
    waves: Path | None = None
    coverage: Path | None = None
    report: dict[str, Any] = field(default_factory=dict)  #: what the bench wrote to report.json

    @property
    def passed(self) -> bool:
        """Whether there was a case, and all passed."""
        return bool(self.cases) and all(case.passed for case in self.cases)

    def check(self) -> BenchResult:
        """Itself where all passed; else AssertionError with the first failure, its log and its waves."""
        failed = [case for case in self.cases if not case.passed]
        if failed or not self.cases:
            what = f"{failed[0].name}: {failed[0].message}" if failed else "the bench holds no test"
            raise AssertionError(f"{what} (log: {self.log}" + (f", waves: {self.waves})" if self.waves else ")"))
        return self


def bench_parameters() -> dict[str, Any]:
    """Inside a bench: the `parameters` that `run_bench` was given."""
    return json.loads(os.environ.get(PARAMETERS, "{}"))


def build(verilog: str, top: str, *, waves: bool = False, coverage: bool = False, jobs: int = 2,
          timeout_s: float = 900) -> Simulator:
    """Compile Verilog text whose top module is `top`, or take the simulator kept from before.

    Raises VidaError where Verilator or the compiler is missing, too old, fails, or takes longer than `timeout_s`.
    """
    tool, compiler = find_verilator(), find_compiler()
    flags = [*_FAST, *_RELAXED, "--output-split", "20000", *(["--trace"] if waves else []),
             *(["--coverage-line"] if coverage else [])]
    identity = [verilog, top, flags, str(tool.executable), tool.version, str(compiler), cocotb_tools.config.libs_dir]
    key = hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:20]
    cache = build_folder("sim-cache")
    kept = cache / f"{top}-{key}"
    started = time.monotonic()
    with open(cache / f"{top}-{key}.lock", "w") as lock:
        # Two test processes that want the same simulator compile it once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        fresh = not (kept / top).exists()
        if fresh:
            _compile(kept, verilog, top, flags, tool, compiler, jobs, timeout_s)
    seconds = time.monotonic() - started if fresh else 0.0
    return Simulator(kept / top, top, verilog, waves, coverage, seconds)


def _compile(kept: Path, verilog: str, top: str, flags: list[str], tool: VerilatorTool, compiler: Path, jobs: int,
             timeout_s: float) -> None:
    work = Path(tempfile.mkdtemp(prefix=f"{top}-", dir=kept.parent))
    (work / f"{top}.v").write_text(verilog)
    (work / "ports.vlt").write_text(f'`verilator_config\npublic_flat_rw -module "{top}" -port "*"\n')
    libraries = cocotb_tools.config.libs_dir
    command = [tool.executable, "-cc", "--exe", "--vpi", "--prefix", "Vtop", "-o", top, "--top-module", top,
               "-Mdir", "obj", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator", *flags,
               cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp", "ports.vlt", f"{top}.v"]
    what = f"building the simulator of {top}"
    deadline = time.monotonic() + timeout_s
    run_tool(command, cwd=work, log=work / "verilate.log", timeout_s=timeout_s, what=what)
    run_tool(["make", "-C", "obj", "-f", "Vtop.mk", "-j", str(jobs), f"CXX={compiler}", f"LINK={compiler}",
              f"OBJCACHE={object_cache()}", f"VM_TRACE={int('--trace' in flags)}", *_OPTIMISE],
             cwd=work, log=work / "make.log", timeout_s=max(1, deadline - time.monotonic()), what=what)
    finished = work / "finished"
    finished.mkdir()
    for file in (work / "obj" / top, work / f"{top}.v", work / "verilate.log"):
        shutil.move(file, finished / file.name)
    shutil.rmtree(kept, ignore_errors=True)
    os.rename(finished, kept)
    shutil.rmtree(work, ignore_errors=True)


#: Benches spend their time in Python: a build of half the length is worth more than a model of twice the speed.
_OPTIMISE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")


def object_cache() -> str:
    """ccache where present, else a script that keeps only Verilator's run-time library, the same in every build.

    Its headers are precompiled for every build alike too: those of the design, which Verilator adds, are short.
    """
    found = shutil.which("ccache")
    if found:
        return found
    folder = build_folder("tools")
    script = folder / "object-cache"
    text = _OBJECT_CACHE.format(folder=folder / "objects")
    if not script.exists() or script.read_text() != text:
        new = folder / f"object-cache.{os.getpid()}"
        new.write_text(text)
        new.chmod(0o755)
        os.replace(new, script)
    return str(script)


_OBJECT_CACHE = r"""#!/bin/sh
# Called as: object-cache compiler flags... -c -o OBJECT SOURCE
# or:        object-cache compiler flags... -x c++-header Vtop__pch.h -o Vtop__pch.h.fast.gch
for last; do
  case "$last" in -I*/include) include="${{last#-I}}" ;; esac
done
case "$last" in
*/include/verilated*.cpp) made=$(basename "$last" .cpp).o ;;
*.gch)
  made="$last" header="${{last%.gch}}"
  printf '#include "verilated.h"\n' > "$header"
  for word; do
    shift
    case "$word" in *__pch.h) word="$header" ;; esac
    set -- "$@" "$word"
  done ;;
*) exec "$@" ;;
esac
key=$( {{ "$1" --version; echo "$@"; cat "${{include:-.}}"/verilated*; }} | sha256sum | cut -c 1-32)
kept="{folder}/$key.${{made##*.}}"
if [ ! -e "$kept" ]; then
  "$@" || exit 1
  mkdir -p "{folder}"
  cp "$made" "$kept.$$" && mv "$kept.$$" "$kept"
else
  ln -sf "$kept" "$made"
fi
"""


def run_bench(simulator: Simulator, test_module: str, *, workdir: Path, parameters: Mapping[str, Any] | None = None,
              seed: int = 1, cases: Iterable[str] = (), waves: bool = False, timeout_s: float = 600,
              waves_on_failure: bool = True) -> BenchResult:
    """Run the cocotb tests of `test_module` (all, or those named in `cases`) in the folder `workdir`.

    `parameters` reach the bench through `bench_parameters()`; a bench may leave `report.json`. A failed run is done
    once more, same seed, with a simulator that records waves, kept as `dump.vcd`.
    Raises VidaError when the simulator dies, or takes longer than `timeout_s`, without results.
    """
    if waves and not simulator.waves:
        simulator = build(simulator.verilog, simulator.top, waves=True, coverage=simulator.coverage)
    workdir = Path(workdir).absolute()
    workdir.mkdir(parents=True, exist_ok=True)
    for name in ("results.xml", "report.json", "dump.vcd", "coverage.dat"):
        (workdir / name).unlink(missing_ok=True)
    log = workdir / "sim.log"
    environment = _environment(simulator.top, test_module, parameters or {}, seed, tuple(cases), workdir)
    run_tool([simulator.executable, *(["--trace"] if waves else [])], cwd=workdir, log=log, timeout_s=timeout_s,
             what=f"bench {test_module} on {simulator.top}", env=environment, check=False)
    result = _collect(workdir, log, test_module)
    if not result.passed and waves_on_failure and not waves:
        return run_bench(simulator, test_module, workdir=workdir, parameters=parameters, seed=seed, cases=cases,
                         waves=True, timeout_s=timeout_s)
    return result


def _environment(top: str, test_module: str, parameters: Mapping[str, Any], seed: int, cases: tuple[str, ...],
                 workdir: Path) -> dict[str, str]:
    # Our packages first, and never the folder that the command runs in: it may hold a `model` or `hw` of its own.
    packages = str(Path(hw.__file__).parent.parent)
    path = [packages, *(entry for entry in sys.path if entry and entry != packages)]
    library = find_libpython.find_libpython()
    if library is None:
        raise VidaError("this Python has no shared libpython, which cocotb needs: apt-get install libpython3-dev")
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1", "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{library};{cocotb_tools.config.pygpi_entry_point()}",
        "COCOTB_TOPLEVEL": top, "TOPLEVEL_LANG": "verilog", "COCOTB_TEST_MODULES": test_module,
        "COCOTB_TRUST_INERTIAL_WRITES": "1", "COCOTB_RESULTS_FILE": str(workdir / "results.xml"),
        "COCOTB_RANDOM_SEED": str(seed), PARAMETERS: json.dumps(dict(parameters)),
        "PATH": os.pathsep.join([os.environ.get("PATH", ""), str(cocotb_tools.config.libs_dir)])}
    if cases:
        environment["COCOTB_TEST_FILTER"] = rf"\.({'|'.join(cases)})$"
    return environment


def _collect(workdir: Path, log: Path, test_module: str) -> BenchResult:
    results = workdir / "results.xml"
    if not results.exists():
        raise VidaError(f"bench {test_module} ended without results (log: {log})")
    cases = []
    for case in ElementTree.parse(results).iter("testcase"):
        failure = next((child for child in case if child.tag in ("failure", "error")), None)
        message = "" if failure is None else (failure.get("message") or "failed").splitlines()[0]
        cases.append(CaseResult(case.get("name", "?"), failure is None, message, float(case.get("time", 0))))
    report = workdir / "report.json"
    return BenchResult(
        tuple(cases), workdir, log, *(path if path.exists() else None
                                      for path in (workdir / "dump.vcd", workdir / "coverage.dat")),
        json.loads(report.read_text()) if report.exists() else {})
