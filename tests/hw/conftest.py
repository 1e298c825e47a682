# SPDX-License-Identifier: Apache-2.0
"""Streams of a component in Amaranth's own simulator."""

import random
from dataclasses import dataclass, field

import pytest
from amaranth.lib import data
from amaranth.sim import Simulator


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
