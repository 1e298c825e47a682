# SPDX-License-Identifier: Apache-2.0
"""Streams of a component in Amaranth's own simulator."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.sim import Simulator

from hw.control.isa import encode
from hw.memory.buffer import Buffer


@dataclass
class Run:
    """Beats taken from each output, and the cycles in which beats moved on every stream."""

    beats: dict = field(default_factory=dict)
    moved: dict = field(default_factory=dict)
    counters: dict = field(default_factory=dict)


def plain(value):
    """A payload as dicts, lists and ints."""
    if not isinstance(value, data.Const):
        return int(getattr(value, "value", value))
    layout = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [plain(value[i]) for i in range(layout.length)]
    return {name: plain(value[name]) for name, _ in layout}


def bind(bench, *given):
    """A testbench with arguments; Amaranth takes none but coroutine functions."""
    async def bound(ctx):
        await bench(ctx, *given)

    return bound


def port(dut, name):
    """A stream by its name; `name.2` is the third of an array."""
    name, _, index = name.partition(".")
    return getattr(dut, name)[int(index)] if index else getattr(dut, name)


@pytest.fixture
def play():
    """play(dut, feed={stream: beats}, take={stream: number}, stall=0.0, seed=1, late={stream: cycles}) -> Run.

    `stall` is the chance that a stream rests in a cycle; with `phase` streams rest and run in turn, `phase` cycles
    each.
    """

    def play(dut, feed, take, stall=0.0, seed=1, late=None, limit=20_000, phase=0):
        run, cycle, draw = Run(), [0], random.Random(seed)

        def rests():
            return draw.random() < stall and not (phase and cycle[0] // phase & 1)

        async def source(ctx, name, beats):
            stream = port(dut, name)
            for _ in range((late or {}).get(name, 0)):
                await ctx.tick()
            for beat in beats:
                while rests():
                    await ctx.tick()
                ctx.set(stream.payload, beat)
                ctx.set(stream.valid, 1)
                await ctx.tick().until(stream.ready)
                run.moved[name].append(cycle[0])
                ctx.set(stream.valid, 0)

        async def sink(ctx, name, number):
            stream, offered = port(dut, name), None
            while len(run.beats[name]) < number:
                ctx.set(stream.ready, not rests())
                *_, valid, ready, payload = await ctx.tick().sample(stream.valid, stream.ready, stream.payload)
                beat = plain(payload) if valid else None
                assert offered in (None, beat), f"stream {name}: untaken beat withdrawn or changed"
                offered = None if ready else beat
                if valid and ready:
                    run.beats[name].append(beat)
                    run.moved[name].append(cycle[0])
            if hasattr(dut, "counters"):
                for _ in range(3):
                    await ctx.tick()
                run.counters = plain(ctx.get(dut.counters))

        async def count(ctx):
            async for _ in ctx.tick():
                cycle[0] += 1
                assert cycle[0] < limit, f"stuck: {({name: len(moved) for name, moved in run.moved.items()})}"

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_process(count)
        for name, beats in feed.items():
            run.moved[name] = []
            simulator.add_testbench(bind(source, name, beats), background=True)
        for name, number in take.items():
            run.moved[name], run.beats[name] = [], []
            simulator.add_testbench(bind(sink, name, number))
        simulator.run()
        return run

    return play


@pytest.fixture
def until_outside():
    """until_outside(walker, its output, command) -> how many it gives before a line that is outside, that line."""

    def run(dut, output, command):
        given, end = [], []

        async def bench(ctx):
            ctx.set(dut.command.payload, command)
            ctx.set(dut.command.valid, 1)
            ctx.set(output.ready, 1)
            for _ in range(30):
                *_, valid = await ctx.tick().sample(output.valid)
                ctx.set(dut.command.valid, 0)
                given.extend([1] * valid)
            assert ctx.get(dut.outside.valid)
            end.append(ctx.get(dut.outside.line))

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        return len(given), *end

    return run


class OnBuffer(Component):
    """A unit that works on instructions (`command`, `request`, `data`, `write`, `done`), and a buffer for it."""

    def __init__(self, config, unit):
        self.config, self.unit = config, unit
        self.writes = unit.write if isinstance(unit.write, list) else [unit.write]
        self.buffer = Buffer(config, len(unit.request), len(self.writes))
        super().__init__({"command": In(stream.Signature(unit.command.payload.shape())), "done": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit, m.submodules.buffer = self.unit, self.buffer
        connect(m, flipped(self.command), self.unit.command)
        for n, request in enumerate(self.unit.request):
            connect(m, request, self.buffer.request[n])
            connect(m, self.buffer.data[n], self.unit.data[n])
        for n, write in enumerate(self.writes):
            connect(m, write, self.buffer.write[n])
        m.d.comb += self.done.eq(self.unit.done)
        return m

    def words(self):
        """(word of the buffer's bytes, its place) of every word."""
        for line in range(self.config.buffers * self.config.buffer_lines):
            bank, row = divmod(line, self.config.buffer_lines)
            for c in range(self.config.ccpes):
                memory = self.buffer.banks[bank].memories[(c + line) % self.config.ccpes]
                yield line * self.config.ccpes + c, memory.data[row]


@pytest.fixture
def on_buffer():
    """on_buffer(config, unit, contents, items) -> bytes of the buffer after the instructions, and the cycle in which
    each was complete."""

    def run(config, unit, contents, items, limit=20_000):
        dut, contents, done = OnBuffer(config, unit), contents.reshape(-1, 16).copy(), []
        shape = dut.command.payload.shape()

        async def bench(ctx):
            for n, place in dut.words():
                ctx.set(place, int.from_bytes(contents[n].tobytes(), "little"))
            cycle, waiting = 0, list(items)
            while len(done) < len(items):
                if waiting:
                    ctx.set(dut.command.payload, shape.from_bits(int.from_bytes(encode(waiting[0]), "little")))
                ctx.set(dut.command.valid, bool(waiting))
                *_, ready, finished = await ctx.tick().sample(dut.command.ready, dut.done)
                if waiting and ready:
                    waiting.pop(0)
                done.extend([cycle] * finished)
                cycle += 1
                assert cycle < limit, f"stuck after {len(done)} of {len(items)} instructions"
            for n, place in dut.words():
                contents[n] = np.frombuffer(int(ctx.get(place)).to_bytes(16, "little"), np.uint8)

        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        return contents.reshape(-1), done

    return run
