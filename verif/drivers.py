# SPDX-License-Identifier: Apache-2.0
"""Drivers of every cocotb bench: stream source and sink with random stalls, reset, watchdog.

A beat is a dict, field name -> int or (nested) list of ints, as `hw.ports` names and packs the fields. Every
stall and every filler value comes from the bench's seed (`COCOTB_RANDOM_SEED`), one generator per stream.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import cocotb
from amaranth.hdl import Value
from amaranth.lib.wiring import Component
from cocotb.clock import Clock
from cocotb.triggers import Event, FallingEdge, RisingEdge

from hw.ports import component_ports


@dataclass(frozen=True)
class Field:
    """One field of a beat: `width` bits an element, `elements` the shape of an array, () for a scalar."""

    name: str
    width: int
    signed: bool = False
    elements: tuple[int, ...] = ()

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


async def start(dut: Any, period_ns: int = 10) -> None:
    """Start the clock and hold the reset for three cycles; sources and sinks made before wait for its end."""
    cocotb.start_soon(Clock(dut.clk, period_ns, unit="ns").start())
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


class _Port:
    """What source and sink share: the handles of one stream and its own random generator."""

    def __init__(self, dut: Any, name: str, fields: Sequence[Field], pause: float) -> None:
        if not 0 <= pause < 1:
            raise ValueError(f"pause is {pause}, must be at least 0 and below 1")
        self.name, self.pause, self.transfers = name, pause, 0
        self._fields = {field.name: (field, getattr(dut, f"{name}_{field.name}")) for field in fields}
        self._clk, self._rst = dut.clk, dut.rst
        self._valid, self._ready = getattr(dut, f"{name}_valid"), getattr(dut, f"{name}_ready")
        self._random = random.Random(f"{cocotb.RANDOM_SEED}/{name}")
        cocotb.log.info("stream %s: seed %s, pause %.2f", name, cocotb.RANDOM_SEED, pause)
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        raise NotImplementedError

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
        self._wake, self._empty = Event(), Event()
        getattr(dut, f"{name}_valid").value = 0
        super().__init__(dut, name, fields, pause)

    def send(self, beats: Iterable[dict[str, Any]]) -> None:
        """Queue beats; every field of each must be given."""
        for beat in beats:
            if beat.keys() != self._fields.keys():
                raise ValueError(f"stream {self.name} has fields {sorted(self._fields)}, got {sorted(beat)}")
            self._queue.append({name: self._fields[name][0].pack(value) for name, value in beat.items()})
        self._empty.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Wait until every queued beat was accepted."""
        if self._queue:
            await self._empty.wait()

    async def _run(self) -> None:
        await self._reset_over()
        while True:
            if not self._queue:
                self._empty.set()
                self._wake.clear()
                await self._wake.wait()
                await RisingEdge(self._clk)
            while self._random.random() < self.pause:
                await RisingEdge(self._clk)
            self._drive(self._queue[0])
            self._valid.value = 1
            await RisingEdge(self._clk)
            while not self._ready.value:
                await RisingEdge(self._clk)
            self._queue.popleft()
            self.transfers += 1
            self._valid.value = 0
            if self.pause or not self._queue:
                self._drive({name: self._random.getrandbits(len(handle))
                             for name, (_, handle) in self._fields.items()})

    def _drive(self, beat: dict[str, int]) -> None:
        for name, bits in beat.items():
            self._fields[name][1].value = bits


class Sink(_Port):
    """Take a stream from the device; `pause` is the chance that it is not ready in a cycle.

    Checks the stream's rules too: a beat once offered stays, unchanged, until it is taken. `first` and `last`
    are the cycle numbers of the first and last beat taken, counted by `cycle`.
    """

    def __init__(self, dut: Any, name: str, fields: Sequence[Field], pause: float = 0.0) -> None:
        self._beats: deque[dict[str, Any]] = deque()
        self._arrived = Event()
        self.cycle, self.first, self.last = 0, None, None
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
            self.cycle += 1
            if not self._valid.value:
                if offered is not None:
                    raise AssertionError(f"stream {self.name}: beat withdrawn in cycle {self.cycle}")
                continue
            beat = {name: int(handle.value) for name, (_, handle) in self._fields.items()}
            if offered not in (None, beat):
                raise AssertionError(f"stream {self.name}: untaken beat changed in cycle {self.cycle}")
            offered = None if ready else beat
            if ready:
                self._take(beat)

    def _take(self, beat: dict[str, int]) -> None:
        self._beats.append({name: field.unpack(beat[name]) for name, (field, _) in self._fields.items()})
        self.first, self.last = self.cycle if self.first is None else self.first, self.cycle
        self.transfers += 1
        self._arrived.set()


class Watchdog:
    """Fail the test when none of `ports` has moved a beat for `cycles` cycles; names how far each came."""

    def __init__(self, dut: Any, ports: Sequence[_Port], cycles: int = 10_000) -> None:
        self._clk, self._ports, self._cycles = dut.clk, ports, cycles
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        before, idle = None, 0
        while True:
            await FallingEdge(self._clk)
            now = [port.transfers for port in self._ports]
            idle = 0 if now != before else idle + 1
            if idle >= self._cycles:
                counts = ", ".join(f"{port.name} {port.transfers}" for port in self._ports)
                raise AssertionError(f"watchdog: no beat for {idle} cycles; beats so far: {counts}")
            before = now
