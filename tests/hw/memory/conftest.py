# SPDX-License-Identifier: Apache-2.0
"""A memory on an AXI4 bus, in Amaranth's simulator, that asserts the bus's rules as it serves."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

PAGE, INCR, OKAY = 4096, 1, 0


class Channel:
    """A channel of the master: what is offered stays, unchanged, until it is taken."""

    def __init__(self, bus, name, fields):
        self.name, self.offered = name, None
        self.signals = [getattr(bus, f"{name}{field}") for field in ("valid", *fields)]

    def check(self, values, ready):
        valid, *payload = values
        assert self.offered is None or valid, f"{self.name} withdrawn"
        assert self.offered in (None, payload), f"{self.name} changed while it waited"
        self.offered = payload if valid and not ready else None
        return payload if valid and ready else None


class AxiMemory:
    """`size` bytes of random contents from address `origin` on.

    `bad` maps a beat's address (a burst's when it writes) to the response it gets. `pause` is the chance that any
    channel rests in a cycle, `delay` the cycles from an address to its data.
    """

    def __init__(self, bus_bytes, burst_beats, seed=1, pause=0.0, delay=4, size=1 << 15, origin=0):
        self.width, self.longest, self.pause, self.delay, self.origin = bus_bytes, burst_beats, pause, delay, origin
        self.draw = random.Random(seed)
        self.bytes = bytearray(self.draw.randbytes(size))
        self.bad, self.reads, self.writes, self.beats, self.cycle = {}, [], [], [], 0

    def rests(self):
        return self.draw.random() < self.pause

    def at(self, address, length):
        start = address - self.origin
        assert 0 <= start and start + length <= len(self.bytes), f"{length} bytes at {address:#x} are outside"
        return self.bytes[start:start + length]

    def _burst(self, address, length, size, burst, *_ids):
        beats = length + 1
        assert 1 << size == self.width and burst == INCR and beats <= self.longest and address % self.width == 0
        assert address // PAGE == (address + beats * self.width - 1) // PAGE, "4 KiB crossed"
        self.at(address, beats * self.width)
        return address, beats

    async def serve_reads(self, ctx, bus):
        """AR and R."""
        ar, waiting, valid = Channel(bus, "ar", ("addr", "len", "size", "burst", "id")), deque(), False
        while True:
            ready = not self.rests()
            ctx.set(bus.arready, ready)
            if not valid and waiting and waiting[0][0] <= self.cycle and not self.rests():
                _, address, last = waiting[0]
                data, valid = int.from_bytes(self.at(address, self.width), "little"), True
                for signal, value in ((bus.rdata, data), (bus.rlast, last), (bus.rresp, self.bad.get(address, OKAY))):
                    ctx.set(signal, value)
            ctx.set(bus.rvalid, valid)
            _, _, taken, *offered = await ctx.tick().sample(bus.rready, *ar.signals)
            self.cycle += 1
            if valid and taken:
                self.beats.append((self.cycle, waiting.popleft()[1]))
                valid = False
            if (asked := ar.check(offered, ready)) is not None:
                address, beats = self._burst(*asked)
                self.reads.append((address, beats))
                waiting += [(self.cycle + self.delay, address + n * self.width, n + 1 == beats) for n in range(beats)]

    async def serve_writes(self, ctx, bus):
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

    def __init__(self, count, ccpes, seed=1, pause=0.0, delay=2):
        self.draw, self.ccpes, self.pause, self.delay = random.Random(seed), ccpes, pause, delay
        self.lines = [self.draw.getrandbits(128 * ccpes) for _ in range(count)]

    def rests(self):
        return self.draw.random() < self.pause

    def _words(self, line):
        return [line >> 128 * c & (1 << 128) - 1 for c in range(self.ccpes)]

    async def serve_writes(self, ctx, write):
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

    async def serve_reads(self, ctx, request, line):
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
    """A device with its clock and a watchdog; `serve` runs a coroutine beside the test, `run` the test itself."""

    def __init__(self, dut, limit=30_000):
        self.dut, self.limit, self.simulator = dut, limit, Simulator(dut)
        self.simulator.add_clock(1e-6)
        self.simulator.add_process(self._watchdog)

    async def _watchdog(self, ctx):
        cycle = 0
        async for _ in ctx.tick():
            cycle += 1
            assert cycle < self.limit, "stuck"

    def serve(self, task, *given):
        async def bound(ctx):
            await task(ctx, *given)

        self.simulator.add_testbench(bound, background=True)

    def run(self, task, *given):
        async def bound(ctx):
            await task(ctx, *given)

        self.simulator.add_testbench(bound)
        self.simulator.run()


@pytest.fixture
def memory():
    return AxiMemory


@pytest.fixture
def lines():
    return Lines


@pytest.fixture
def bench():
    return Bench


@pytest.fixture
def send():
    """send(ctx, stream, payloads, rests): offer the payloads one after the other."""
    async def send(ctx, stream, payloads, rests=lambda: False):
        for payload in payloads:
            while rests():
                await ctx.tick()
            ctx.set(stream.payload, payload)
            ctx.set(stream.valid, 1)
            taken = False
            while not taken:
                *_, taken = await ctx.tick().sample(stream.ready)
            ctx.set(stream.valid, 0)

    return send


@pytest.fixture
def receive():
    """receive(ctx, stream, rests, found): append what the stream gives to `found`, for ever; what is offered stays."""
    async def receive(ctx, stream, rests, found):
        offered = None
        while True:
            ready = not rests()
            ctx.set(stream.ready, ready)
            *_, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
            assert offered is None or (valid and payload == offered), "untaken beat withdrawn or changed"
            offered = payload if valid and not ready else None
            if valid and ready:
                found.append(payload)

    return receive
