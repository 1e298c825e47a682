# SPDX-License-Identifier: Apache-2.0
"""Surroundings of blocks in Amaranth's simulator: a memory behind AXI4, a buffer behind its clients, streams.

Each asserts the rules of its bus as it serves: what is offered stays, unchanged, until it is taken.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

PAGE, INCR, OKAY = 4096, 1, 0


class Channel:
    """A channel of a master, `name` the beginning of its signals' names, `fields` its payload."""

    def __init__(self, bus: Any, name: str, fields: Iterable[str]) -> None:
        self.name, self.offered = name, None
        self.signals = [getattr(bus, f"{name}{field}") for field in ("valid", *fields)]

    def check(self, values: list[int], ready: bool) -> list[int] | None:
        """The payload if it moves in this cycle; AssertionError where one was withdrawn or changed."""
        valid, *payload = values
        assert self.offered is None or valid, f"{self.name} withdrawn"
        assert self.offered in (None, payload), f"{self.name} changed while it waited"
        self.offered = payload if valid and not ready else None
        return payload if valid and ready else None


class AxiMemory:
    """`size` bytes of random contents from address `origin` on.

    `bad` maps a beat's address (a burst's when it writes) to the response it gets. `pause` is the chance that any
    channel rests in a cycle, `delay` the cycles from an address to its data. `reads` and `writes` list the bursts
    (address, beats) in order, `beats` the cycle of every beat.
    """

    def __init__(self, bus_bytes: int, burst_beats: int, seed: int = 1, pause: float = 0.0, delay: int = 4,
                 size: int = 1 << 15, origin: int = 0) -> None:
        self.width, self.longest, self.pause, self.delay, self.origin = bus_bytes, burst_beats, pause, delay, origin
        self.draw = random.Random(seed)
        self.bytes = bytearray(self.draw.randbytes(size))
        self.bad: dict[int, int] = {}
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.beats: list[tuple[int, Any]] = []

    def rests(self) -> bool:
        """Whether something is to rest in this cycle."""
        return self.draw.random() < self.pause

    def at(self, address: int, length: int) -> bytearray:
        """Bytes from an address on; AssertionError outside of the memory."""
        start = address - self.origin
        assert 0 <= start and start + length <= len(self.bytes), f"{length} bytes at {address:#x} are outside"
        return self.bytes[start:start + length]

    def _burst(self, address, length, size, burst, *_ids):
        beats = length + 1
        assert 1 << size == self.width and burst == INCR and beats <= self.longest and address % self.width == 0
        assert address // PAGE == (address + beats * self.width - 1) // PAGE, "4 KiB crossed"
        self.at(address, beats * self.width)
        return address, beats

    async def serve_reads(self, ctx: Any, bus: Any) -> None:
        """AR and R."""
        ar, waiting, valid = Channel(bus, "ar", ("addr", "len", "size", "burst", "id")), deque(), False
        cycle = 0
        while True:
            ready = not self.rests()
            ctx.set(bus.arready, ready)
            if not valid and waiting and waiting[0][0] <= cycle and not self.rests():
                _, address, last = waiting[0]
                data, valid = int.from_bytes(self.at(address, self.width), "little"), True
                for signal, value in ((bus.rdata, data), (bus.rlast, last), (bus.rresp, self.bad.get(address, OKAY))):
                    ctx.set(signal, value)
            ctx.set(bus.rvalid, valid)
            _, _, taken, *offered = await ctx.tick().sample(bus.rready, *ar.signals)
            cycle += 1
            if valid and taken:
                self.beats.append((cycle, waiting.popleft()[1]))
                valid = False
            if (asked := ar.check(offered, ready)) is not None:
                address, beats = self._burst(*asked)
                self.reads.append((address, beats))
                waiting += [(cycle + self.delay, address + n * self.width, n + 1 == beats) for n in range(beats)]

    async def serve_writes(self, ctx: Any, bus: Any) -> None:
        """AW, W and B; sometimes data is taken before its address, or the address only with its data."""
        aw, w = Channel(bus, "aw", ("addr", "len", "size", "burst", "id")), Channel(bus, "w", ("data", "strb", "last"))
        bursts, beats, answers, valid, cycle = deque(), deque(), deque(), False, 0
        while True:
            aw_ready, w_ready = not self.rests(), not self.rests()
            ctx.set(bus.awready, aw_ready)
            ctx.set(bus.wready, w_ready)
            if not valid and answers and answers[0][0] <= cycle and not self.rests():
                ctx.set(bus.bresp, answers[0][1])
                valid = True
            ctx.set(bus.bvalid, valid)
            _, _, taken, *offered = await ctx.tick().sample(bus.bready, *aw.signals, *w.signals)
            cycle += 1
            if valid and taken:
                answers.popleft()
                valid = False
            if (asked := aw.check(offered[:len(aw.signals)], aw_ready)) is not None:
                bursts.append(self._burst(*asked))
                self.writes.append(bursts[-1])
            if (beat := w.check(offered[len(aw.signals):], w_ready)) is not None:
                beats.append(beat)
                self.beats.append((cycle, beat))
            if bursts and len(beats) >= bursts[0][1]:
                address, count = bursts.popleft()
                self._write(address, [beats.popleft() for _ in range(count)])
                answers.append((cycle + self.delay, self.bad.get(address, OKAY)))

    def _write(self, address, beats):
        for n, (data, strobes, last) in enumerate(beats):
            assert last == (n + 1 == len(beats)), "WLAST"
            for lane in range(self.width):
                if strobes >> lane & 1:
                    self.bytes[address - self.origin + n * self.width + lane] = data >> 8 * lane & 255


class Lines:
    """A buffer of `count` lines as ints, behind its clients' streams; `pause` and `delay` as of `AxiMemory`."""

    def __init__(self, count: int, ccpes: int, seed: int = 1, pause: float = 0.0, delay: int = 2) -> None:
        self.draw, self.ccpes, self.pause, self.delay = random.Random(seed), ccpes, pause, delay
        self.lines = [self.draw.getrandbits(128 * ccpes) for _ in range(count)]

    def rests(self) -> bool:
        """Whether something is to rest in this cycle."""
        return self.draw.random() < self.pause

    def _words(self, line):
        return [line >> 128 * c & (1 << 128) - 1 for c in range(self.ccpes)]

    async def serve_writes(self, ctx: Any, write: Any) -> None:
        """A write client."""
        offered = None
        while True:
            ready = not self.rests()
            ctx.set(write.ready, ready)
            *_, valid, payload = await ctx.tick().sample(write.valid, write.payload)
            assert offered is None or (valid and payload == offered), "untaken write withdrawn or changed"
            offered = payload if valid and not ready else None
            if valid and ready:
                assert payload.mask == (1 << 4 * self.ccpes) - 1
                self.lines[payload.address] = sum(payload.line[c] << 128 * c for c in range(self.ccpes))

    async def serve_reads(self, ctx: Any, request: Any, line: Any) -> None:
        """A read client."""
        waiting, offered, valid, cycle = deque(), None, False, 0
        while True:
            ready = not self.rests()
            ctx.set(request.ready, ready)
            if not valid and waiting and waiting[0][0] <= cycle and not self.rests():
                ctx.set(line.payload, self._words(waiting[0][1]))
                valid = True
            ctx.set(line.valid, valid)
            *_, taken, asked, wanted = await ctx.tick().sample(line.ready, request.valid, request.payload)
            cycle += 1
            if valid and taken:
                waiting.popleft()
                valid = False
            assert offered is None or (asked and wanted == offered), "untaken request withdrawn or changed"
            offered = wanted if asked and not ready else None
            if asked and ready:
                assert not wanted.transposed
                waiting.append((cycle + self.delay, self.lines[wanted.address]))


class Bench:
    """A device with its clock, stopped by a watchdog after `limit` cycles."""

    def __init__(self, dut: Elaboratable, limit: int = 30_000) -> None:
        self.dut, self.limit, self.simulator = dut, limit, Simulator(dut)
        self.simulator.add_clock(1e-6)
        self.simulator.add_process(self._watchdog)

    async def _watchdog(self, ctx: Any):
        cycle = 0
        async for _ in ctx.tick():
            cycle += 1
            assert cycle < self.limit, "stuck"

    def serve(self, task: Callable, *given: Any) -> None:
        """Run `task(ctx, *given)` beside the test."""
        async def bound(ctx):
            await task(ctx, *given)

        self.simulator.add_testbench(bound, background=True)

    def run(self, task: Callable, *given: Any) -> None:
        """Run the test `task(ctx, *given)` to its end."""
        async def bound(ctx):
            await task(ctx, *given)

        self.simulator.add_testbench(bound)
        self.simulator.run()


async def send(ctx: Any, stream: Any, payloads: Iterable[Any], rests: Callable[[], bool] = lambda: False) -> None:
    """Offer the payloads one after the other; `rests` says when not to begin."""
    for payload in payloads:
        while rests():
            await ctx.tick()
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        taken = False
        while not taken:
            *_, taken = await ctx.tick().sample(stream.ready)
        ctx.set(stream.valid, 0)


async def receive(ctx: Any, stream: Any, rests: Callable[[], bool], found: list) -> None:
    """Append what the stream gives to `found`, for ever; AssertionError where what is offered does not stay."""
    offered = None
    while True:
        ready = not rests()
        ctx.set(stream.ready, ready)
        *_, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        assert offered is None or (valid and payload == offered), "untaken beat withdrawn or changed"
        offered = payload if valid and not ready else None
        if valid and ready:
            found.append(payload)
