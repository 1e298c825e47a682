# SPDX-License-Identifier: Apache-2.0
"""What `Load` and `Store` have in common."""

import random

import pytest

from hw.control.fault import FaultKind
from hw.memory.load import Load
from hw.memory.store import Store
from model.exact.memory.transfer import Transfer
from verif.transfers import random_transfer

SHAPES = [(8, 1), (64, 1), (32, 2), (16, 4), (64, 8), (8, 8)]
KINDS = [Load, Store]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bus_bytes, ccpes", SHAPES)
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_every_shape_of_transfer_is_the_laws(kind, bus_bytes, ccpes, pause, mover):
    it, draw = mover(kind, bus_bytes, ccpes, pause), random.Random(bus_bytes + ccpes)
    transfers = [random_transfer(draw, it.config, len(it.ram.bytes), it.top, it.indices) for _ in range(10)]
    want = it.after(*transfers)

    async def test(ctx):
        await it.send(ctx, *transfers, rests=it.ram.rests)
        await it.finished(ctx, len(transfers))
        assert not ctx.get(it.dut.busy) and ctx.get(it.dut.fault.kind) == FaultKind.NONE

    it.run(test)
    assert it.contents == want


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bus_bytes, ccpes", SHAPES)
def test_the_bus_rests_only_between_transfers(kind, bus_bytes, ccpes, mover):
    it = mover(kind, bus_bytes, ccpes, 0.0)
    line = it.config.line_bytes

    async def test(ctx):
        await it.send(ctx, Transfer(0, 32 * line, 2, 32, 0, 32), Transfer(8192, 0, 1, 64, 64, 0))
        await it.finished(ctx, 2)

    it.run(test)
    cycles, step = [cycle for cycle, _ in it.ram.beats], max(1, bus_bytes // line)
    assert cycles[-1] - cycles[0] <= step * len(cycles) + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [1, 5, 9, 23, 77])
@pytest.mark.parametrize("table", [False, True])
def test_stop_at_any_time_leaves_it_ready_for_the_next(kind, after, table, mover):
    it = mover(kind, 16, 2, 0.3)
    endless, again = Transfer(0, 32, 8, 90, 0, 0, it.indices if table else None), Transfer(8192, 32, 3, 3, 110, 3)

    async def test(ctx):
        await it.send(ctx, endless)
        await ctx.tick().repeat(after)
        await it.pulse(ctx, it.dut.stop)
        await ctx.tick().until(~it.dut.busy)
        assert not it.pulses
        before, want = it.contents, it.after(again)
        await it.send(ctx, again)
        await it.finished(ctx, 1)
        assert it.contents == want != before

    it.run(test)


@pytest.mark.parametrize("kind, first", [(Load, {"bus"}), (Store, {"bus", "request"})])
def test_the_stated_latency(kind, first, mover):
    it = mover(kind, 16, 2, 0.0)
    bus = it.dut.bus.arvalid if it.loads else it.dut.bus.awvalid

    async def test(ctx):
        await it.send(ctx, Transfer(0, 0, 1, 1, 0, 0))
        cycles = {}
        for cycle in range(1, 20):
            for name, signal in (("bus", bus), ("request", it.dut.request.valid)):
                if ctx.get(signal):
                    cycles.setdefault(name, cycle)
            await ctx.tick()
        assert cycles == dict.fromkeys(first, kind.latency)

    it.run(test)
