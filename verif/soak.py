# SPDX-License-Identifier: Apache-2.0
"""Soak of the whole machine: random programs, slow and failing memories, against the law; nothing hangs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from host.driver import Outcome as Ended
from hw.config import MachineConfig, load_config
from hw.control.isa import BYTES, Instruction, Opcode, encode
from hw.errors import VidaError
from model.exact.machine.executor import Executor
from model.exact.machine.store import Fault, ProgramError
from verif.instructions import PART
from verif.machine import Bus, SimulatedMachine
from verif.programs import Drawer

#: Cycles that a whole soak runs, those after which a program hangs, and programs on one behaviour of the memory.
CYCLES, WATCHDOG, PROGRAMS = 10_000_000, 400_000, 12
_SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "merge_bus8": {"allocation": "merge", "depth": 4, "buses": 4, "scan": 8, "slots": 8, "queue_depth": 4,
                   "bus_bytes": 8, "requantise_cycles": 3},
    "two_groups": {"pegs": 2, "ccpes": 1, "allocation": "none", "queue_depth": 8, "vector_lanes": 4, "drain": "inplace",
                   "bus_bytes": 16, "buffers": 2, "buffer_lines": 512},
    "threshold_wide": {"ccpes": 4, "allocation": "threshold", "drain": "inplace", "scan": 8, "queue_depth": 8,
                       "vector_lanes": 4, "bus_bytes": 32},
    "native": {"lane": "native", "allocation": "none", "depth": 4, "scan": 4, "slots": 4, "buffer_lines": 256},
}


def configurations() -> list[MachineConfig]:
    """The machines of a soak; the first is the preset `tiny`."""
    tiny = load_config("tiny")
    return [tiny.replace(name=name, **fields) if fields else tiny for name, fields in _SHAPES.items()]


@dataclass
class Soaked:
    """What was run on one machine; `first` is what went wrong first, "" for nothing.

    Members
    -------
    programs, instructions, cycles : of all runs
    faults : runs that had to end with a status and did, cut programs and bus errors among them
    compared : bytes of DRAM held against the law's
    """

    name: str
    seed: int
    programs: int = 0
    instructions: int = 0
    cycles: int = 0
    faults: int = 0
    compared: int = 0
    first: str = ""

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing went wrong."""
        return self.compared > 0 and not self.first


class Soak:
    """Random programs on one machine.

    Parameters
    ----------
    config : the machine
    seed : of programs, data and memories
    length : instructions of a program, about
    """

    def __init__(self, config: MachineConfig, seed: int, length: int = 40) -> None:
        self.config, self.length, self.draw = config, length, random.Random(f"{config.name} {seed}")
        self.drawer, self.soaked = Drawer(config, self.draw), Soaked(config.name, seed)
        self.size = len(self.drawer.law.dram.bytes)

    def run(self, cycles: int, progress: Callable[[Soaked], None] = lambda soaked: None) -> Soaked:
        """Until so many cycles are simulated, or something goes wrong."""
        while self.soaked.cycles < cycles and not self.soaked.first:
            draw = self.draw
            bus = Bus(draw.choice((None, draw.uniform(4, 2 * self.config.bus_bytes))), draw.choice((1, 30, 300)),
                      draw.choice((0.0, 0.1, 0.6)), draw.getrandbits(30))
            with SimulatedMachine(self.config, self.size, bus, WATCHDOG) as machine:
                self.drawer.forget()
                for _ in range(PROGRAMS):
                    self.round(machine)
                    progress(self.soaked)
                    if self.soaked.first or self.soaked.cycles >= cycles:
                        break
        return self.soaked

    def round(self, machine: SimulatedMachine) -> None:
        """A program, whose results are compared, and perhaps one that must fail."""
        machine.write(0, self.drawer.data())
        program = self.drawer.program(self.length)
        ended = self._start(machine, program)
        if ended.status != "done":
            self._wrong(f"a program ends with {ended.status}: {ended.message}")
            return
        self._compare(machine.read(0, self.size))
        chance = self.draw.random()
        if chance < 0.5 and not self.soaked.first:
            self._spoil(machine, program)
        elif chance < 0.8 and not self.soaked.first:
            self._mutate(machine, program)

    def truncations(self, machine: SimulatedMachine) -> None:
        """A program cut behind each of its instructions."""
        machine.write(0, self.drawer.data())
        codes = [encode(item) for item in self.drawer.program(self.length)]
        for length in range(len(codes)):
            machine.write(self.size - BYTES * length, b"".join(codes[:length]))
            self._must(machine.run(self.size - BYTES * length), "address: fetch", f"cut to {length} instructions")
        self.drawer.forget()

    def _start(self, machine: SimulatedMachine, program: Sequence[Instruction]) -> Ended:
        machine.write(self.drawer.program_at, b"".join(map(encode, program)))
        ended = machine.run(self.drawer.program_at)
        self.soaked.programs += 1
        self.soaked.instructions += len(program)
        self.soaked.cycles += ended.counters["cycles"]
        return ended

    def _wrong(self, message: str) -> None:
        self.soaked.first = f"{self.config.name} seed {self.soaked.seed} program {self.soaked.programs}: {message}"

    def _compare(self, got: bytes) -> None:
        """What the program was given and has stored."""
        dram, end = self.drawer.law.dram, self.drawer.program_at
        defined = dram.defined[:end]
        differs = np.flatnonzero((np.frombuffer(got, np.uint8)[:end] != dram.bytes[:end]) & defined)
        self.soaked.compared += int(defined[3 * PART * self.config.line_bytes:].sum())
        if len(differs):
            at = int(differs[0])
            self._wrong(f"{len(differs)} bytes differ, first {at:#x}: got {got[at]}, law says {dram.bytes[at]}")

    def _must(self, ended: Ended, *starts_or_what: str) -> None:
        """`ended` must begin with one of the statuses; the last word says what was done to the program."""
        *starts, what = starts_or_what
        self.soaked.cycles += ended.counters["cycles"]
        self.soaked.programs += 1
        if f"{ended.status}: {ended.message}".startswith(tuple(starts)):
            self.soaked.faults += 1
        elif not self.soaked.first:
            self._wrong(f"{what}: ended with {ended.status}: {ended.message}; {' or '.join(starts)} expected")

    def _spoil(self, machine: SimulatedMachine, program: Sequence[Instruction]) -> None:
        """The same program again, with one access that fails."""
        response, status = self.draw.choice(((2, "slverr"), (3, "decerr")))
        n = self.draw.randrange(len(program))
        at, accesses = self.drawer.program_at + BYTES * n, ("fetch",)
        item = program[n]
        if item.opcode in (Opcode.LOAD, Opcode.STORE) and not item["use_table"] and self.draw.random() < 0.8:
            at = item["dram"] + item["dram_pitch"] * self.draw.randrange(item["rows"])
            # What is stored may be loaded too, before or after.
            accesses = ("load", "store")
        machine.spoil(at - at % self.config.bus_bytes, response)
        self._must(machine.run(self.drawer.program_at), *(f"{status}: {access} at" for access in accesses),
                   f"{status} at {at:#x}, instruction {n}")
        self.drawer.forget()

    def _mutate(self, machine: SimulatedMachine, program: list[Instruction]) -> None:
        """One field of one instruction somewhere else, often illegal: it ends as the law says."""
        n = self.draw.randrange(len(program) - 1)
        item = program[n]
        names = [name for name, value in item.values.items() if isinstance(value, int) and name not in (
            "wait", "signal", "opcode", "unit", "dram", "dram_pitch", "use_table", "table")]
        name = self.draw.choice(names)
        high = self.config.buffers * self.config.buffer_lines
        value = self.draw.choice((item[name] + 1, item[name] ^ 1, item[name] + 2 * PART, high - 1, high, 65535, 0))
        try:
            changed = [*program[:n], item.replace(**{name: value}), *program[n + 1:]]
        except VidaError:
            return
        expected = self._expected(changed)
        if expected == ("done",) and name in ("rows", "cols", "lines"):
            return      # legal, and perhaps very long
        machine.write(self.drawer.program_at, b"".join(map(encode, changed)))
        tables = any(one.opcode in (Opcode.LOAD, Opcode.STORE) and one["use_table"] for one in changed)
        if item.opcode is Opcode.STORE or tables:
            # Indices or the program itself may be overwritten: what counts is that it ends.
            expected = ("done", "address", "decerr", "instruction")
        self._must(machine.run(self.drawer.program_at), *expected, f"instruction {n} with {name} {value}")
        self.drawer.forget()

    def _expected(self, program: Sequence[Instruction]) -> tuple[str, ...]:
        """How the law lets it end."""
        law = Executor(self.config, self.size, strict=False)
        law.dram.bytes[:], law.buffer.bytes[:] = self.drawer.law.dram.bytes, self.drawer.law.buffer.bytes
        try:
            law.run(program)
        except ProgramError as error:
            if error.kind is Fault.ILLEGAL:
                return ("instruction: fetch",)
            if error.kind is Fault.ADDRESS:
                return ("address", "decerr") if "DRAM" in str(error) else ("address",)
            if error.kind is Fault.UNDEFINED:
                return ("done", "address", "decerr")
            raise
        return ("done",)


def soak(seed: int, cycles: int = CYCLES, configs: Sequence[MachineConfig] = (),
         progress: Callable[[Soaked], None] = lambda soaked: None) -> list[Soaked]:
    """Share `cycles` between the machines (default: `configurations()`); on each, one program is cut everywhere."""
    chosen, found = list(configs) or configurations(), []
    for config in chosen:
        one = Soak(config, seed)
        with SimulatedMachine(config, one.size, limit=WATCHDOG) as machine:
            one.truncations(machine)
        if not one.soaked.first:
            one.run(-(-cycles // len(chosen)), progress)
        found.append(one.soaked)
    return found
