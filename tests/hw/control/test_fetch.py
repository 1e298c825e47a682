# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.config import load_config
from hw.control.fault import Access, FaultKind
from hw.control.fetch import Fetch
from hw.control.isa import BYTES, Opcode
from verif.buses import AxiMemory, Bench, receive

BUSES = [8, 16, 32, 64]


def program(draw, number, end=True):
    """Instructions of which the fetch looks at the opcode only."""
    kinds = [draw.choice([kind for kind in Opcode if kind is not Opcode.END]) for _ in range(number - end)]
    return [bytes([kind.value]) + draw.randbytes(BYTES - 1) for kind in [*kinds, *[Opcode.END] * end]]


def setup(bus_bytes, pause, prefetch=2, **options):
    dut = Fetch(load_config("tiny").replace(bus_bytes=bus_bytes), prefetch)
    ram = AxiMemory(bus_bytes, BYTES // bus_bytes, pause=pause, **options)
    simulation, got = Bench(dut), []
    simulation.serve(ram.serve_reads, dut.bus)
    return dut, ram, simulation, got


async def start(ctx, dut, address, length):
    ctx.set(dut.address, address)
    ctx.set(dut.length, length)
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


def place(ram, address, items):
    text = b"".join(items)
    ram.bytes[address - ram.origin:address - ram.origin + len(text)] = text


def texts(got):
    return [value.to_bytes(BYTES, "little") for value in got]


@pytest.mark.parametrize("bus_bytes", BUSES)
@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_programs_come_up_to_their_end(bus_bytes, pause):
    draw = random.Random(bus_bytes)
    dut, ram, simulation, got = setup(bus_bytes, pause, prefetch=draw.choice((2, 4)), origin=2**40)
    programs = [(2**40 + 64 * 17, program(draw, 30)), (2**40, program(draw, 1)), (2**40 + 4096, program(draw, 5))]
    simulation.serve(receive, dut.instruction, ram.rests, got)

    async def test(ctx):
        for address, items in programs:
            place(ram, address, items)
            got.clear()
            await start(ctx, dut, address, draw.choice((len(items), len(items) + 1, 2**32 - 1)))
            await ctx.tick().until(~dut.busy)
            assert texts(got) == items and ctx.get(dut.fault.kind) == FaultKind.NONE

    simulation.run(test)


@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_a_program_without_end_is_reported(length):
    draw = random.Random(length)
    dut, ram, simulation, got = setup(16, 0.3)
    items = program(draw, 12, end=False)
    place(ram, 640, items)
    simulation.serve(receive, dut.instruction, ram.rests, got)

    async def test(ctx):
        await start(ctx, dut, 640, length)
        while ctx.get(dut.fault.kind) == FaultKind.NONE:
            await ctx.tick()
        await ctx.tick().until(~dut.busy)
        fault = ctx.get(dut.fault)
        assert fault.kind == FaultKind.ADDRESS and fault.access == Access.FETCH
        assert fault.address == 640 + 64 * length and texts(got) == items[:length]
        assert all(address < 640 + 64 * length for address, _ in ram.reads)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        got.clear()
        place(ram, 0, program(draw, 3))
        await start(ctx, dut, 0, 3)
        await ctx.tick().until(~dut.busy)
        assert len(got) == 3 and ctx.get(dut.fault.kind) == FaultKind.NONE

    simulation.run(test)


@pytest.mark.parametrize("bus_bytes", [8, 64])
def test_a_bus_error_is_reported(bus_bytes):
    dut, ram, simulation, got = setup(bus_bytes, 0.3)
    items = program(random.Random(1), 12)
    place(ram, 0, items)
    ram.bad = {64 * 8 - bus_bytes: FaultKind.DECERR.value}
    simulation.serve(receive, dut.instruction, ram.rests, got)

    async def test(ctx):
        await start(ctx, dut, 0, 12)
        while ctx.get(dut.fault.kind) == FaultKind.NONE:
            await ctx.tick()
        await ctx.tick().until(~dut.busy)
        fault = ctx.get(dut.fault)
        assert fault.kind == FaultKind.DECERR and fault.access == Access.FETCH and fault.address == 64 * 7
        assert texts(got) == items[:7]

    simulation.run(test)


def test_nothing_is_asked_for_without_a_place():
    dut, ram, simulation, _ = setup(64, 0.0, prefetch=3)
    place(ram, 0, program(random.Random(1), 12))

    async def test(ctx):
        await start(ctx, dut, 0, 12)
        await ctx.tick().repeat(100)
        assert len(ram.beats) == len(ram.reads) == 3 and ctx.get(dut.instruction.valid)

    simulation.run(test)


@pytest.mark.parametrize("after", [1, 3, 8, 20, 31])
def test_stop_at_any_time_leaves_it_ready_for_the_next(after):
    dut, ram, simulation, got = setup(8, 0.3)
    items = program(random.Random(after), 40)
    place(ram, 0, items)
    simulation.serve(receive, dut.instruction, ram.rests, got)

    async def test(ctx):
        await start(ctx, dut, 0, 40)
        await ctx.tick().repeat(after)
        ctx.set(dut.stop, 1)
        await ctx.tick()
        ctx.set(dut.stop, 0)
        await ctx.tick().until(~dut.busy)
        assert texts(got) == items[:len(got)] and len(got) < 30
        got.clear()
        await start(ctx, dut, 64, 39)
        await ctx.tick().until(~dut.busy)
        assert texts(got) == items[1:]

    simulation.run(test)


def test_the_stated_latency():
    dut, _, simulation, _ = setup(64, 0.0)

    async def test(ctx):
        await start(ctx, dut, 0, 1)
        for _ in range(Fetch.latency - 1):
            assert not ctx.get(dut.bus.arvalid)
            await ctx.tick()
        assert ctx.get(dut.bus.arvalid)

    simulation.run(test)


@pytest.mark.parametrize("bus_bytes", [8, 64])
def test_the_next_program_comes_whole_whenever_the_last_one_was_stopped(bus_bytes):
    dut, ram, simulation, got = setup(bus_bytes, 0.3)
    items = program(random.Random(2), 6)
    place(ram, 0, items)
    simulation.serve(receive, dut.instruction, ram.rests, got)

    async def test(ctx):
        for cycles in range(30):
            await start(ctx, dut, 0, 6)
            for _ in range(cycles):
                await ctx.tick()
            ctx.set(dut.stop, 1)
            await ctx.tick()
            ctx.set(dut.stop, 0)
            while ctx.get(dut.busy):
                await ctx.tick()
        got.clear()
        await start(ctx, dut, 0, 6)
        await ctx.tick().until(~dut.busy)
        assert texts(got) == items

    simulation.run(test)
