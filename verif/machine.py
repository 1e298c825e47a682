# SPDX-License-Identifier: Apache-2.0
"""The whole machine's Verilog with a memory behind it, as the host's driver sees a machine: no Python for a cycle."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host.driver import Outcome
from hw.config import MachineConfig
from hw.control.decode import units
from hw.control.fault import Access, FaultKind
from hw.control.isa import BYTES
from hw.control.usage import counter_bits, unit_names
from hw.converted import TOP, machine_verilog
from hw.errors import VidaError
from verif.compiled import Design, compiled

_HARNESS = Path(__file__).with_name("machine.cpp")
_WRITE, _READ, _RUN, _BREAK = 1, 2, 3, 4
#: CCPEs of a machine up to which Verilator takes it whole: its build is short, and it runs five times as fast.
SMALL = 8
#: Modules of larger ones that are compiled once for all their instances. Of preset `default` Verilator makes 30 MB of
#: C++ instead of 100, in half the time.
APART = ("matmul_unit", "ccpe")
#: Seconds that Verilator, and the compiler, may take on a busy processor.
BUILD_S = 1800


@dataclass(frozen=True)
class Bus:
    """The memory behind the machine.

    Members
    -------
    bandwidth : bytes a cycle that both directions share; None: what the bus carries in both
    latency : cycles from a read's address to its first data
    pause : chance that a channel rests for a cycle
    seed : of the pauses
    """

    bandwidth: float | None = None
    latency: int = 30
    pause: float = 0.0
    seed: int = 1


def design(config: MachineConfig) -> Design:
    """The machine's Verilog, module `TOP`, and the header of its harness."""
    width, count = config.bus_bytes, len(units(config))
    data = "(uint8_t*)&t.m_axi_rdata", "(const uint8_t*)&t.m_axi_wdata"
    shown = " ".join(f"w[{n}] = t.activity_{n}_busy | uint32_t(t.activity_{n}_tag) << 1;" for n in range(count))
    lines = ['// SPDX-License-Identifier: Apache-2.0', "#include <cstdint>", "#include <cstring>", '#include "Vtop.h"',
             f"constexpr unsigned bus_bytes = {width}, units = {count}, counters = {len(counter_bits(config))};",
             f"inline void set_read_data(Vtop& t, const uint8_t* d) {{ std::memcpy({data[0]}, d, bus_bytes); }}",
             f"inline void get_write_data(Vtop& t, uint8_t* d) {{ std::memcpy(d, {data[1]}, bus_bytes); }}",
             f"inline void read_activity(Vtop& t, uint32_t* w) {{ {shown} }}", ""]
    return machine_verilog(config), "\n".join(lines), {}


class SimulatedMachine:
    """`host.driver.Machine` over the Verilog of `config`.

    Parameters
    ----------
    config : the machine
    dram_bytes : memory, from address 0
    bus : the memory's behaviour
    limit : cycles after which a program is given up
    trace : file for the units' activity (see `read_trace`); None: none
    waves : VCD of every signal; None: none. Its simulator is slower and is built for itself.
    short : for few cycles: a simulator that is built in half the time, and is slower

    Attributes
    ----------
    cpu_seconds : that all programs took
    """

    def __init__(self, config: MachineConfig, dram_bytes: int, bus: Bus | None = None, limit: int = 50_000_000,
                 trace: Path | None = None, waves: Path | None = None, short: bool = False) -> None:
        bus = bus or Bus()
        self.config, self.limit, self.dram_bytes, self.cpu_seconds = config, limit, dram_bytes, 0.0
        self._names = tuple(counter_bits(config))
        executable, _ = compiled(TOP, config, _HARNESS, lambda: design(config), waves=waves is not None,
                                 timeout_s=BUILD_S, apart=APART if config.pegs * config.ccpes > SMALL else (),
                                 shared=short)
        bandwidth = 2 * config.bus_bytes if bus.bandwidth is None else bus.bandwidth
        arguments = [dram_bytes, bandwidth, bus.latency, round(256 * bus.pause), bus.seed, trace or "", waves or ""]
        self._process = subprocess.Popen([executable, *map(str, arguments)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def close(self) -> None:
        """End the simulation."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(20)

    def __enter__(self) -> SimulatedMachine:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into memory."""
        self._check(address, len(data))
        self._send(struct.pack("<3Q", _WRITE, address, len(data)) + data)

    def read(self, address: int, size: int) -> bytes:
        """Bytes from memory."""
        self._check(address, size)
        self._send(struct.pack("<3Q", _READ, address, size))
        return self._receive(size)

    def spoil(self, address: int, response: int) -> None:
        """Let the next access to the beat at `address` get `response` (2 SLVERR, 3 DECERR)."""
        self._send(struct.pack("<3Q", _BREAK, address, response))

    def run(self, address: int) -> Outcome:
        """Run the program at `address` until its END, a fault, or the limit."""
        self._send(struct.pack("<4Q", _RUN, address, (self.dram_bytes - address) // BYTES, self.limit))
        count = 4 + len(self._names)
        status, fault, cycles, microseconds, *values = struct.unpack(f"<{count}Q", self._receive(8 * count))
        self.cpu_seconds += microseconds / 1e6
        counters = {"cycles": cycles, **dict(zip(self._names, values, strict=True))}
        kind, access = FaultKind(status >> 4 & 15), Access(status >> 8 & 15)
        if status & 1:
            return Outcome("limit", f"not ended after {self.limit} cycles", counters)
        if kind is not FaultKind.NONE:
            return Outcome(kind.name.lower(), f"{access.name.lower()} at {fault:#x}, tag {status >> 16}", counters)
        return Outcome("done", "", counters)

    def _check(self, address: int, size: int) -> None:
        if not 0 <= address <= address + size <= self.dram_bytes:
            raise VidaError(f"memory {address:#x}..{address + size:#x}, below {self.dram_bytes:#x} allowed")

    def _send(self, data: bytes) -> None:
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise VidaError(f"the simulation of {self.config.name} has ended") from None

    def _receive(self, size: int) -> bytes:
        data = self._process.stdout.read(size)
        if len(data) != size:
            raise VidaError(f"the simulation of {self.config.name} has ended")
        return data


@dataclass(frozen=True)
class Span:
    """A unit had an instruction with `tag` under way from cycle `start` to before cycle `end`."""

    unit: str
    tag: int
    start: int
    end: int


def read_trace(path: Path, config: MachineConfig) -> list[Span]:
    """What `SimulatedMachine` recorded; opcode and tag of each unit over time."""
    names, spans, since = unit_names(config), [], {}
    for cycle, unit, value in np.fromfile(path, "<u8").reshape(-1, 3).tolist():
        if unit in since:
            start, tag = since.pop(unit)
            spans.append(Span(names[unit], tag, start, cycle))
        if value & 1:
            since[unit] = cycle, value >> 1
    return spans
