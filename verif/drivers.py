# SPDX-License-Identifier: Apache-2.0
"""Drivers of every cocotb bench: stream source and sink with random stalls, reset, watchdog.

A beat is a dict, field name -> int or (nested) list of ints, as `hw.ports` names and packs the fields. Every
stall and every filler value comes from the bench's seed (`COCOTB_RANDOM_SEED`), one generator per stream.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import cocotb
from amaranth.hdl import Value
from amaranth.lib.wiring import Component
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import Event, RisingEdge, Timer

from hw.ports import component_ports

#: Period of every bench's clock; a cycle number is simulated time over this.
PERIOD_NS = 10


@dataclass(frozen=True)
class Field:
    """One field of a beat: `width` bits an element, `elements` the shape of an array, () for a scalar."""

    name: str
    width: int
    signed: bool = False
    elements: tuple[int, ...] = ()

    @property
    def bits(self) -> int:
        """Width of the port."""
        return self.width * prod(self.elements)

    def pack(self, value: Any) -> int:
        """Bits of a value; an array's element 0 lowest. ValueError for what does not fit."""
        flat = _flatten(value) if self.elements else [int(value)]
        if len(flat) != prod(self.elements):
            raise ValueError(f"field {self.name} has {prod(self.elements)} elements, got {len(flat)}")
        low, high = (-(1 << self.width - 1), 1 << self.width - 1) if self.signed else (0, 1 << self.width)
        if min(flat) < low or max(flat) >= high:
            raise ValueError(f"field {self.name} holds {low}..{high - 1}, got {min(flat)}..{max(flat)}")
        mask, bits = (1 << self.width) - 1, 0
        for element in reversed(flat):
            bits = bits << self.width | element & mask
        return bits

    def unpack(self, bits: int) -> Any:
        """The value of the bits: an int, or lists nested as `elements` says."""
        half, mask = 1 << self.width - 1, (1 << self.width) - 1
        flat = [bits >> i * self.width & mask for i in range(prod(self.elements))]
        if self.signed:
            flat = [(element ^ half) - half for element in flat]
        for length in reversed(self.elements[1:]):
            flat = [flat[i:i + length] for i in range(0, len(flat), length)]
        return flat if self.elements else flat[0]


def _flatten(value: Any) -> list[int]:
    if not isinstance(value, (list, tuple)):
        return [int(value)]
    if value and isinstance(value[0], (list, tuple)):
        return [element for part in value for element in _flatten(part)]
    return list(value)


def stream_of(component: Component, interface: Any) -> tuple[str, list[Field]]:
    """Name and fields of one stream of a component, e.g. `Source(dut, *stream_of(peg, peg.left))`."""
    ports = component_ports(component)
    payload = Value.cast(interface.payload)
    name = next(port.name for port in ports if port.signal is interface.valid).removesuffix("_valid")
    mine = [port for port in ports if port.signal is payload]
    return name, [Field(port.name.removeprefix(f"{name}_"), port.width // prod(port.elements), port.signed,
                        port.elements) for port in mine]


async def start(dut: Any) -> None:
    """Start the clock and hold the reset for three cycles; sources and sinks made before wait for its end."""
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns").start())
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


class _Port(ABC):
    """What source and sink share: handles of one stream, its random generator, the record of its beats.

    `transfers` counts beats moved; `first` and `last` are the cycles in which the first and last one moved.
    """

    def __init__(self, dut: Any, name: str, fields: Sequence[Field], pause: float) -> None:
        if not 0 <= pause < 1:
            raise ValueError(f"pause is {pause}, must be at least 0 and below 1")
        self.name, self.pause, self.transfers, self.first, self.last = name, pause, 0, -1, -1
        self._fields = {field.name: field for field in fields}
        self._handles = {field.name: getattr(dut, f"{name}_{field.name}") for field in fields}
        self._clk, self._rst = dut.clk, dut.rst
        self._valid, self._ready = getattr(dut, f"{name}_valid"), getattr(dut, f"{name}_ready")
        self._random = random.Random(f"{cocotb.RANDOM_SEED}/{name}")
        cocotb.log.info("stream %s: pause %.2f", name, pause)
        cocotb.start_soon(self._run())

    @abstractmethod
    async def _run(self) -> None:
        """Move beats for ever."""

    def _moved(self) -> None:
        self.last = int(get_sim_time("ns")) // PERIOD_NS
        self.first = self.last if self.first < 0 else self.first
        self.transfers += 1

    async def _reset_over(self) -> None:
        await RisingEdge(self._clk)
        while self._rst.value:
            await RisingEdge(self._clk)


class Source(_Port):
    """Drive a stream into the device; `pause` is the chance of an idle cycle before a beat.

    While idle the fields hold random bits, so that a device that looks at them without `valid` is found out.
    """

    def __init__(self, dut: Any, name: str, fields: Sequence[Field], pause: float = 0.0) -> None:
        self._queue: deque[dict[str, int]] = deque()
        self._driven: dict[str, int] = {}
        self._wake = Event()
        getattr(dut, f"{name}_valid").value = 0
        super().__init__(dut, name, fields, pause)

    def send(self, beats: Iterable[dict[str, Any]]) -> None:
        """Queue beats; every field of each must be given."""
        for beat in beats:
            if beat.keys() != self._fields.keys():
                raise ValueError(f"stream {self.name} has fields {sorted(self._fields)}, got {sorted(beat)}")
            self._queue.append({name: self._fields[name].pack(value) for name, value in beat.items()})
        self._wake.set()

    async def _run(self) -> None:
        await self._reset_over()
        while True:
            if not self._queue:
                self._idle()
                self._wake.clear()
                await self._wake.wait()
                await RisingEdge(self._clk)
            while self._random.random() < self.pause:
                self._idle()
                await RisingEdge(self._clk)
            self._drive(1, self._queue[0])
            await RisingEdge(self._clk)
            while not self._ready.value:
                await RisingEdge(self._clk)
            self._queue.popleft()
            self._moved()

    def _idle(self) -> None:
        self._drive(0, {name: self._random.getrandbits(field.bits) for name, field in self._fields.items()})

    def _drive(self, valid: int, beat: dict[str, int]) -> None:
        if self._driven.get("") != valid:
            self._valid.value = self._driven[""] = valid
        for name, bits in beat.items():
            if self._driven.get(name) != bits:     # a write costs more than all else here
                self._handles[name].value = self._driven[name] = bits


class Sink(_Port):
    """Take a stream from the device; `pause` is the chance that it is not ready in a cycle.

    Checks the stream's rules too: a beat once offered stays, unchanged, until it is taken.
    """

    def __init__(self, dut: Any, name: str, fields: Sequence[Field], pause: float = 0.0) -> None:
        self._beats: deque[dict[str, Any]] = deque()
        self._arrived = Event()
        getattr(dut, f"{name}_ready").value = 0
        super().__init__(dut, name, fields, pause)

    async def receive(self, count: int) -> list[dict[str, Any]]:
        """Wait for the next `count` beats."""
        while len(self._beats) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return [self._beats.popleft() for _ in range(count)]

    async def _run(self) -> None:
        offered = None
        await self._reset_over()
        while True:
            ready = self._random.random() >= self.pause
            self._ready.value = int(ready)
            await RisingEdge(self._clk)
            if not self._valid.value:
                if offered is not None:
                    raise AssertionError(f"stream {self.name}: beat withdrawn at {get_sim_time('ns')} ns")
                continue
            beat = {name: int(handle.value) for name, handle in self._handles.items()}
            if offered not in (None, beat):
                raise AssertionError(f"stream {self.name}: untaken beat changed at {get_sim_time('ns')} ns")
            offered = None if ready else beat
            if ready:
                self._take(beat)

    def _take(self, beat: dict[str, int]) -> None:
        self._beats.append({name: field.unpack(beat[name]) for name, field in self._fields.items()})
        self._moved()
        self._arrived.set()


class Watchdog:
    """Fail the test when none of `ports` moves a beat within `cycles` cycles; says how far each came."""

    def __init__(self, ports: Sequence[_Port], cycles: int = 10_000) -> None:
        self._ports, self._cycles = ports, cycles
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        before = None
        while before != (now := [port.transfers for port in self._ports]):
            before = now
            await Timer(self._cycles * PERIOD_NS, unit="ns")
        counts = ", ".join(f"{port.name} {port.transfers}" for port in self._ports)
        raise AssertionError(f"watchdog: no beat for {self._cycles} cycles; beats so far: {counts}")
