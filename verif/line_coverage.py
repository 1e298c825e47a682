# SPDX-License-Identifier: Apache-2.0
"""Line coverage of a whole machine's Verilog: random programs that are held against the law, on a counting simulator.

A line here is one that Verilator counts: the branches of `always` blocks in the Verilog that vida writes, a module's
once however many instances it has. Continuous assignments are no lines.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from hw.config import MachineConfig
from hw.control.usage import counter_bits
from hw.errors import VidaError
from hw.toolbox import run_tool
from hw.workspace import build_folder
from verif.coverage import LineCoverage, line_coverage
from verif.machine import SimulatedMachine, design
from verif.simulator import object_cache
from verif.soak import WATCHDOG, Soak
from verif.verilator import find_compiler, find_verilator

#: Not run for long: a quick build is worth more than a fast model. Verilator's library is compiled as for the benches,
#: which keep it.
_OPTIMISE = ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
#: Counters of a module stand once for its instances where it is not inlined; one file is read once.
_FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style",
          "--inline-mult", "100", "--output-split", "0", "--coverage-line")
#: Instructions of a program, about: many short ones reach more lines in a cycle than few long ones.
_LENGTH = 12
_HARNESS = Path(__file__).with_name("machine_coverage.cpp")


@dataclass(frozen=True)
class Covered:
    """Lines by module; what was run: programs, and cycles between start and end of them."""

    modules: tuple[LineCoverage, ...]
    programs: int
    cycles: int

    @property
    def hit(self) -> int:
        """Lines executed."""
        return sum(module.hit for module in self.modules)

    @property
    def total(self) -> int:
        """Lines that could be."""
        return sum(module.total for module in self.modules)


class CountingMachine(SimulatedMachine):
    """A `SimulatedMachine` that leaves `coverage.dat` in `folder`; every channel rests in one of ten cycles."""

    def __init__(self, config: MachineConfig, dram_bytes: int, executable: Path, folder: Path) -> None:
        self.config, self.limit, self.dram_bytes, self.cpu_seconds = config, WATCHDOG, dram_bytes, 0.0
        self._names = tuple(counter_bits(config))
        arguments = (dram_bytes, 2 * config.bus_bytes, 5, 25, 1, "", "")
        self._process = subprocess.Popen([executable, *map(str, arguments)], cwd=folder, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)


def _build(config: MachineConfig, folder: Path, timeout_s: float) -> Path:
    """The counting simulator."""
    tool, compiler, what = find_verilator(), find_compiler(), f"building {config.name} with line coverage"
    verilog, header, _ = design(config)
    (folder / "obj").mkdir(exist_ok=True)
    (folder / "top.v").write_text(verilog)
    # Where the compiler looks without a flag of its own, with which Verilator's library would be another.
    (folder / "obj" / "ports.h").write_text(header)
    command = [tool.executable, "-cc", "--exe", "--prefix", "Vtop", "-o", "harness", "--top-module", "machine",
               "-Mdir", "obj", *_FLAGS, _HARNESS, "top.v"]
    run_tool(command, cwd=folder, log=folder / "verilate.log", timeout_s=timeout_s, what=what)
    command = ["make", "-C", "obj", "-f", "Vtop.mk", "-j", "2", f"CXX={compiler}", f"LINK={compiler}",
               f"OBJCACHE={object_cache()}", *_OPTIMISE]
    run_tool(command, cwd=folder, log=folder / "make.log", timeout_s=timeout_s, what=what)
    return folder / "obj" / "harness"


def machine_coverage(config: MachineConfig, seed: int, programs: int, timeout_s: float = 600) -> Covered:
    """Run about `programs` random programs of the soak, spoilt ones among them, and count lines.

    Raises VidaError where a tool is missing or fails, or a program does not end as the law says.
    """
    folder = build_folder("coverage", config.name)
    executable, soak = _build(config, folder, timeout_s), Soak(config, seed, _LENGTH)
    with CountingMachine(config, soak.size, executable, folder) as machine:
        while soak.soaked.programs < programs and not soak.soaked.first:
            soak.round(machine)
    if soak.soaked.first:
        raise VidaError(soak.soaked.first)
    return Covered(tuple(line_coverage([folder / "coverage.dat"])), soak.soaked.programs, soak.soaked.cycles)
