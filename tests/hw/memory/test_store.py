# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.config import load_config
from hw.control.fault import Access, FaultKind
from hw.memory.store import Store
from model.exact.memory.transfer import Transfer
from verif.buses import AxiMemory, Bench, Lines, send
from verif.transfers import command, random_transfer, table_lines

TABLE, DEPTH = 240, 256      # the tests' tables lie above what they move
SHAPES = [(8, 1), (64, 1), (32, 2), (16, 4), (64, 8), (8, 8)]


def small(bus_bytes, ccpes):
    return load_config("tiny").replace(ccpes=ccpes, bus_bytes=bus_bytes, buffers=4, buffer_lines=64)


def stored(ram, store, transfers, line):
    """The memory after all transfers."""
    want = bytearray(ram.bytes)
    for transfer in transfers:
        for dram, place in transfer.moves(line):
            want[dram:dram + line] = store.lines[place].to_bytes(line, "little")
    return want


def setup(config, pause):
    """Device, bench, memory, buffer with a table of eight indices, and the pulses of `done` as a list."""
    dut = Store(config, burst_beats=16, outstanding=4)
    ram, store = AxiMemory(config.bus_bytes, 16, pause=pause), Lines(DEPTH, config.ccpes, pause=pause)
    indices = [store.draw.randrange(8) for _ in range(8)]
    for n, line in enumerate(table_lines(indices, config)):
        store.lines[TABLE + n] = line
    simulation, pulses = Bench(dut), []

    async def count(ctx):
        while True:
            *_, done = await ctx.tick().sample(dut.done)
            pulses.extend([1] * done)

    simulation.serve(ram.serve_writes, dut.bus)
    simulation.serve(store.serve_reads, dut.request, dut.data)
    simulation.serve(count)
    return dut, simulation, ram, store, indices, pulses


async def finished(ctx, pulses, number):
    while len(pulses) < number:
        await ctx.tick()


@pytest.mark.parametrize("bus_bytes, ccpes", SHAPES)
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_every_shape_of_transfer_is_the_laws(bus_bytes, ccpes, pause):
    config, draw = small(bus_bytes, ccpes), random.Random(bus_bytes + ccpes)
    dut, simulation, ram, store, indices, pulses = setup(config, pause)
    transfers = [random_transfer(draw, config, len(ram.bytes), TABLE, indices) for _ in range(10)]
    want = stored(ram, store, transfers, config.line_bytes)

    async def test(ctx):
        await send(ctx, dut.command, [command(transfer, TABLE) for transfer in transfers], ram.rests)
        await finished(ctx, pulses, len(transfers))
        assert not ctx.get(dut.busy) and ctx.get(dut.fault.kind) == FaultKind.NONE

    simulation.run(test)
    assert ram.bytes == want


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_done_comes_with_the_last_response_in_order(pause):
    config = small(16, 2)
    dut, simulation, ram, store, _, pulses = setup(config, pause)
    nothing = Transfer(0, 0, 0, 0, 0, 0)
    transfers = [nothing, Transfer(0, 256, 3, 4, 0, 10), nothing, nothing, Transfer(4096, 32, 1, 9, 100, 0), nothing]
    ram.delay = 30

    want = stored(ram, store, transfers, 32)
    simulation.serve(send, dut.command, [command(transfer, TABLE) for transfer in transfers])

    async def test(ctx):
        for number, transfer in enumerate(transfers):
            await finished(ctx, pulses, number + 1)
            assert all(ram.at(dram, 32) == want[dram:dram + 32] for dram, _ in transfer.moves(32))
            assert number or not ram.writes

    simulation.run(test)
    assert len(pulses) == 6


@pytest.mark.parametrize("bus_bytes, ccpes", SHAPES)
def test_the_bus_rests_only_between_stores(bus_bytes, ccpes):
    config = small(bus_bytes, ccpes)
    dut, simulation, ram, _, _, pulses = setup(config, 0.0)
    line = config.line_bytes
    transfers = [Transfer(0, 32 * line, 2, 32, 0, 32), Transfer(8192, 0, 1, 64, 64, 0)]

    async def test(ctx):
        await send(ctx, dut.command, [command(transfer, TABLE) for transfer in transfers])
        await finished(ctx, pulses, 2)

    simulation.run(test)
    cycles, step = [cycle for cycle, _ in ram.beats], max(1, bus_bytes // line)
    assert cycles[-1] - cycles[0] <= step * len(cycles) + 1


@pytest.mark.parametrize("bus_bytes, ccpes", [(8, 8), (32, 2), (64, 1)])
@pytest.mark.parametrize("response", [FaultKind.SLVERR, FaultKind.DECERR])
def test_a_bus_error_ends_all_and_clear_begins_anew(bus_bytes, ccpes, response):
    config = small(bus_bytes, ccpes)
    dut, simulation, ram, store, _, pulses = setup(config, 0.3)
    line = config.line_bytes
    ram.bad = {4096 - 4096 % (16 * bus_bytes): response.value}
    good, bad = Transfer(0, 0, 1, 1, 0, 0), Transfer(4096 - 2 * line, 64 * line, 3, 2048 // line, 10, 9)

    async def test(ctx):
        await send(ctx, dut.command, [command(good, TABLE), command(bad, TABLE)])
        while ctx.get(dut.fault.kind) == FaultKind.NONE:
            await ctx.tick()
        await ctx.tick().until(~dut.busy)
        fault = ctx.get(dut.fault)
        assert fault.kind == response and fault.access == Access.STORE and fault.address == 4096
        assert len(pulses) == 1 and not ctx.get(dut.command.ready)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        again = Transfer(8192, 0, 1, 3, 20, 0)
        want = stored(ram, store, [again], line)
        await send(ctx, dut.command, [command(again, TABLE)])
        await finished(ctx, pulses, 2)
        assert ram.bytes == want

    simulation.run(test)


@pytest.mark.parametrize("after", [1, 5, 9, 23, 77])
@pytest.mark.parametrize("table", [False, True])
def test_stop_at_any_time_leaves_it_ready_for_the_next(after, table):
    config = small(16, 2)
    dut, simulation, ram, store, indices, pulses = setup(config, 0.3)
    endless = Transfer(0, 32, 8, 90, 0, 0, indices if table else None)

    async def test(ctx):
        await send(ctx, dut.command, [command(endless, TABLE)])
        await ctx.tick().repeat(after)
        ctx.set(dut.stop, 1)
        await ctx.tick()
        ctx.set(dut.stop, 0)
        await ctx.tick().until(~dut.busy)
        assert not pulses
        again = Transfer(8192, 32, 3, 3, 110, 3)
        want = stored(ram, store, [again], 32)
        await send(ctx, dut.command, [command(again, TABLE)])
        await finished(ctx, pulses, 1)
        assert ram.bytes == want

    simulation.run(test)


def test_the_stated_latency():
    dut, simulation, *_ = setup(small(16, 2), 0.0)

    async def test(ctx):
        await send(ctx, dut.command, [command(Transfer(0, 0, 1, 1, 0, 0), TABLE)])
        cycles = {}
        for cycle in range(1, 20):
            for name, signal in (("bus", dut.bus.awvalid), ("request", dut.request.valid)):
                if ctx.get(signal):
                    cycles.setdefault(name, cycle)
            await ctx.tick()
        assert cycles == {"bus": Store.latency, "request": Store.latency}

    simulation.run(test)
