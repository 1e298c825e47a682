# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.control.fault import Access, FaultKind
from hw.memory.axi_write import AxiWriter
from model.exact.memory.transfer import bursts
from verif.buses import AxiMemory, Bench, send

SIZES = [(8, 16), (8, 64), (16, 16), (64, 16), (32, 64), (64, 64), (16, 128), (64, 32)]


def commands(draw, unit, number, most):
    """Runs of units anywhere in 32 KiB, with their bytes."""
    found = []
    for n in range(number):
        units = draw.choice((1, 1, 2, 3, draw.randint(1, most)))
        start = draw.randrange((1 << 15) // unit - units + 1)
        found.append(({"address": start * unit, "units": units, "last": n % 2}, draw.randbytes(units * unit)))
    return found


def units_of(contents, unit):
    return [int.from_bytes(contents[n:n + unit], "little") for n in range(0, len(contents), unit)]


async def count(ctx, dut, pulses):
    while True:
        *_, done = await ctx.tick().sample(dut.done)
        if done:
            pulses.append(1)


@pytest.mark.parametrize("bus_bytes, unit", SIZES)
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_units_reach_memory_by_the_laws_bursts(bus_bytes, unit, pause):
    draw = random.Random(bus_bytes + unit)
    beats = draw.choice([beats for beats in (2, 4, 16) if beats * bus_bytes >= unit])
    ram = AxiMemory(bus_bytes, beats, seed=unit, pause=pause)
    dut, asked, pulses = AxiWriter(bus_bytes, unit, beats, 3, Access.STORE), commands(draw, unit, 24, 2048 // unit), []
    want = bytearray(ram.bytes)
    for item, contents in asked:
        want[item["address"]:item["address"] + len(contents)] = contents
    simulation = Bench(dut)
    simulation.serve(ram.serve_writes, dut.bus)
    simulation.serve(send, dut.unit, [value for _, text in asked for value in units_of(text, unit)], ram.rests)
    simulation.serve(count, dut, pulses)

    async def test(ctx):
        await send(ctx, dut.command, [item for item, _ in asked], ram.rests)
        await ctx.tick().until(~dut.busy)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.fault.kind) == FaultKind.NONE

    simulation.run(test)
    assert ram.bytes == want and len(pulses) == 12
    assert ram.writes == [burst for item, _ in asked
                          for burst in bursts(item["address"], item["units"] * unit, bus_bytes, beats)]


@pytest.mark.parametrize("bus_bytes, unit", SIZES)
def test_a_beat_or_a_unit_a_cycle(bus_bytes, unit):
    ram, dut = AxiMemory(bus_bytes, 16, delay=20), AxiWriter(bus_bytes, unit, 16, 4, Access.STORE)
    simulation, units = Bench(dut), 4096 // unit
    simulation.serve(ram.serve_writes, dut.bus)
    simulation.serve(send, dut.unit, list(range(units)))

    async def test(ctx):
        await send(ctx, dut.command, [{"address": 0, "units": units, "last": 1}])
        await ctx.tick().until(dut.done)

    simulation.run(test)
    cycles, step = [cycle for cycle, _ in ram.beats], max(1, bus_bytes // unit)
    assert len(cycles) == 4096 // bus_bytes
    assert cycles[-1] - cycles[0] <= step * (len(cycles) - 1) + 1


@pytest.mark.parametrize("bus_bytes, unit", [(8, 64), (16, 16), (64, 16)])
@pytest.mark.parametrize("response", [FaultKind.SLVERR, FaultKind.DECERR])
def test_a_bad_response_is_reported_and_nothing_is_written_after_it(bus_bytes, unit, response):
    ram = AxiMemory(bus_bytes, 8, pause=0.3)
    dut, window, pulses = AxiWriter(bus_bytes, unit, 8, 3, Access.STORE), 8 * bus_bytes, []
    ram.bad, before = {4 * window: response.value}, bytes(ram.bytes)
    simulation = Bench(dut)
    simulation.serve(ram.serve_writes, dut.bus)
    simulation.serve(send, dut.unit, [0] * 2000, ram.rests)
    simulation.serve(count, dut, pulses)

    async def test(ctx):
        await send(ctx, dut.command, [{"address": 0, "units": 4096 // unit, "last": 1}] * 3, ram.rests)
        await ctx.tick().until(~dut.busy)
        fault = ctx.get(dut.fault)
        assert fault.kind == response and fault.access == Access.STORE and fault.address == 4 * window
        assert len(ram.writes) <= 10 and not pulses
        assert ram.bytes[:4 * window] == bytes(4 * window) and ram.bytes[10 * window:] == before[10 * window:]
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await send(ctx, dut.command, [{"address": 8192, "units": 256 // unit, "last": 1}])
        await ctx.tick().until(dut.done)
        assert ram.bytes[8192:8448] == bytes(256) and ram.bytes[8448:] == before[8448:]

    simulation.run(test)


def test_done_does_not_come_with_a_bad_response():
    ram, dut, pulses = AxiMemory(16, 8, pause=0.3), AxiWriter(16, 16, 8, 3, Access.STORE), []
    ram.bad = {512: FaultKind.SLVERR.value}
    simulation = Bench(dut)
    simulation.serve(ram.serve_writes, dut.bus)
    simulation.serve(send, dut.unit, [0] * 2)
    simulation.serve(count, dut, pulses)

    async def test(ctx):
        await send(ctx, dut.command, [{"address": address, "units": 1, "last": 1} for address in (0, 512)])
        await ctx.tick().until(~dut.busy)
        await ctx.tick().repeat(3)
        assert len(pulses) == 1 and ctx.get(dut.fault.kind) == FaultKind.SLVERR

    simulation.run(test)


@pytest.mark.parametrize("bus_bytes, unit", [(8, 64), (64, 16)])
def test_stop_ends_without_units(bus_bytes, unit):
    ram, dut, pulses = AxiMemory(bus_bytes, 8, pause=0.2), AxiWriter(bus_bytes, unit, 8, 3, Access.STORE), []
    simulation, before = Bench(dut), bytes(ram.bytes)
    simulation.serve(ram.serve_writes, dut.bus)
    simulation.serve(count, dut, pulses)

    async def test(ctx):
        await send(ctx, dut.command, [{"address": 0, "units": 500, "last": 1}])
        await send(ctx, dut.unit, [0])                    # and no more
        await ctx.tick().repeat(40)
        assert ctx.get(dut.busy)
        ctx.set(dut.stop, 1)
        await ctx.tick().until(~dut.busy)
        assert not pulses and ram.bytes[unit:] == before[unit:]
        ctx.set(dut.stop, 0)
        await send(ctx, dut.command, [{"address": unit, "units": 1, "last": 1}])
        await send(ctx, dut.unit, [0])
        await ctx.tick().until(dut.done)
        assert ram.bytes[:2 * unit] == bytes(2 * unit) and ram.bytes[2 * unit:] == before[2 * unit:]

    simulation.run(test)
