# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.control.fault import Access, FaultKind
from hw.memory.axi_read import AxiReader
from model.exact.memory.transfer import bursts
from verif.buses import AxiMemory, Bench, receive, send

SIZES = [(8, 16), (8, 64), (16, 16), (64, 16), (32, 64), (64, 64), (16, 128), (64, 32)]


def commands(draw, unit, number, most):
    """Runs of units anywhere in 32 KiB."""
    found = []
    for n in range(number):
        units = draw.choice((1, 1, 2, 3, draw.randint(1, most)))
        start = draw.randrange((1 << 15) // unit - units + 1)
        found.append({"address": start * unit, "units": units, "last": n % 2})
    return found


@pytest.mark.parametrize("bus_bytes, unit", SIZES)
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_units_come_in_order_by_the_laws_bursts(bus_bytes, unit, pause):
    draw = random.Random(bus_bytes + unit)
    beats = draw.choice([beats for beats in (2, 4, 16) if beats * bus_bytes >= unit])
    ram = AxiMemory(bus_bytes, beats, seed=unit, pause=pause)
    dut, got, asked = AxiReader(bus_bytes, unit, beats, 3, Access.LOAD), [], commands(draw, unit, 25, 2048 // unit)
    simulation = Bench(dut)
    simulation.serve(ram.serve_reads, dut.bus)
    simulation.serve(receive, dut.unit, ram.rests, got)

    async def test(ctx):
        await send(ctx, dut.command, asked, ram.rests)
        await ctx.tick().until(~dut.busy)
        assert ctx.get(dut.fault.kind) == FaultKind.NONE

    simulation.run(test)
    want = b"".join(ram.at(item["address"], item["units"] * unit) for item in asked)
    assert b"".join(value.to_bytes(unit, "little") for value in got) == want
    assert ram.reads == [burst for item in asked
                         for burst in bursts(item["address"], item["units"] * unit, bus_bytes, beats)]


@pytest.mark.parametrize("bus_bytes, unit", SIZES)
def test_a_beat_or_a_unit_a_cycle(bus_bytes, unit):
    ram, dut, got = AxiMemory(bus_bytes, 16, delay=20), AxiReader(bus_bytes, unit, 16, 4, Access.LOAD), []
    simulation, units = Bench(dut), 4096 // unit
    simulation.serve(ram.serve_reads, dut.bus)
    simulation.serve(receive, dut.unit, lambda: False, got)

    async def test(ctx):
        ctx.set(dut.command.payload, {"address": 0, "units": units, "last": 1})
        ctx.set(dut.command.valid, 1)
        await ctx.tick()
        ctx.set(dut.command.valid, 0)
        await ctx.tick().repeat(AxiReader.latency - 1)
        assert ctx.get(dut.bus.arvalid)
        await ctx.tick().until(~dut.busy)

    simulation.run(test)
    cycles = [cycle for cycle, _ in ram.beats]
    assert len(got) == units and len(cycles) == 4096 // bus_bytes
    step = max(1, bus_bytes // unit)
    assert cycles[-1] - cycles[0] <= step * (len(cycles) - 1) + 1


@pytest.mark.parametrize("bus_bytes, unit", [(8, 64), (16, 16), (64, 16)])
@pytest.mark.parametrize("response", [FaultKind.SLVERR, FaultKind.DECERR])
def test_a_bad_response_is_reported_and_what_is_under_way_is_drained(bus_bytes, unit, response):
    ram = AxiMemory(bus_bytes, 8, pause=0.3)
    dut, got, shown = AxiReader(bus_bytes, unit, 8, 3, Access.FETCH), [], []
    ram.bad = {1024 + 5 * bus_bytes: response.value}
    simulation = Bench(dut)
    simulation.serve(ram.serve_reads, dut.bus)
    simulation.serve(receive, dut.unit, ram.rests, got)

    async def note(ctx):
        while True:
            *_, kind, valid = await ctx.tick().sample(dut.fault.kind, dut.unit.valid & dut.unit.ready)
            if valid and kind == FaultKind.NONE:
                shown.append(1)

    simulation.serve(note)

    async def test(ctx):
        await send(ctx, dut.command, [{"address": 0, "units": 4096 // unit, "last": 1}] * 3, ram.rests)
        await ctx.tick().until(~dut.busy)
        fault = ctx.get(dut.fault)
        window = 8 * bus_bytes
        assert fault.kind == response and fault.access == Access.FETCH
        assert fault.address == (1024 + 5 * bus_bytes) // window * window
        assert b"".join(value.to_bytes(unit, "little") for value in got[:len(shown)]) == ram.at(0, len(shown) * unit)
        assert len(shown) * unit <= 1024 + 5 * bus_bytes and len(ram.reads) <= 1024 // window + 5
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        got.clear()
        await send(ctx, dut.command, [{"address": 2048, "units": 256 // unit, "last": 1}])
        await ctx.tick().until(~dut.busy)
        assert b"".join(value.to_bytes(unit, "little") for value in got) == ram.at(2048, 256)

    simulation.run(test)


def test_stop_ends_with_the_burst_on_offer():
    ram, dut, got = AxiMemory(16, 4, pause=0.2), AxiReader(16, 32, 4, 3, Access.LOAD), []
    simulation = Bench(dut)
    simulation.serve(ram.serve_reads, dut.bus)
    simulation.serve(receive, dut.unit, ram.rests, got)

    async def test(ctx):
        await send(ctx, dut.command, [{"address": 0, "units": 500, "last": 1}])
        await ctx.tick().repeat(60)
        before = len(ram.reads)
        ctx.set(dut.stop, 1)
        await ctx.tick().until(~dut.busy)
        assert len(ram.reads) <= before + 1 and len(got) == 2 * len(ram.reads)
        await send(ctx, dut.command, [{"address": 0, "units": 500, "last": 1}])       # taken and dropped
        assert not ctx.get(dut.busy)

    simulation.run(test)


@pytest.mark.parametrize("sizes", [(8, 64, 4), (64, 64, 128), (8, 16, 512)])
def test_bursts_that_cannot_be_are_refused(sizes):
    bus_bytes, unit, beats = sizes
    never_built = AxiReader.__new__(AxiReader)
    never_built._MustUse__silence = True
    with pytest.raises(ValueError, match=f"bursts of {beats} beats of {bus_bytes} bytes: at most 256 beats and "):
        never_built.__init__(bus_bytes, unit, beats, 2, Access.LOAD)
