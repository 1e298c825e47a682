# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, Out, connect, flipped

from hw.config import load_config
from hw.control.fault import Access, FaultKind
from hw.control.fetch import Fetch
from hw.control.isa import Opcode
from hw.memory.axi import axi_signature
from hw.memory.dma import Dma
from model.exact.memory.transfer import Transfer
from verif.buses import AxiMemory, Bench, Lines, receive, send
from verif.transfers import command, random_transfer, table_lines

TABLE, DEPTH, PROGRAM = 240, 256, 0x7000


class Moving(Component):
    """DMA and fetch on one bus."""

    def __init__(self, config):
        self.dma, self.fetch = Dma(config), Fetch(config)
        super().__init__({"bus": Out(axi_signature(config.bus_bytes))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dma, m.submodules.fetch = self.dma, self.fetch
        connect(m, self.fetch.bus, self.dma.fetch)
        connect(m, self.dma.bus, flipped(self.bus))
        return m


async def count(ctx, pulse, seen):
    while True:
        *_, done = await ctx.tick().sample(pulse)
        seen.extend([1] * done)


def setup(bus_bytes, ccpes, pause):
    config = load_config("tiny").replace(ccpes=ccpes, bus_bytes=bus_bytes, buffers=4, buffer_lines=64)
    dut, ram = Moving(config), AxiMemory(bus_bytes, 16, pause=pause)
    store, simulation = Lines(DEPTH, ccpes, pause=pause), Bench(dut)
    dma, seen = dut.dma, {"load": [], "store": []}
    simulation.serve(ram.serve_reads, dut.bus)
    simulation.serve(ram.serve_writes, dut.bus)
    simulation.serve(store.serve_writes, dma.write)
    simulation.serve(store.serve_reads, dma.request, dma.data)
    for name, pulses in seen.items():
        simulation.serve(count, getattr(dma, f"{name}_done"), pulses)
    return config, dut, ram, store, simulation, seen


def halves(draw, config, indices):
    """Loads from the lower half of memory to the lower half of the buffer; stores between the upper halves."""
    loads = [random_transfer(draw, config, 0x3000, DEPTH // 2, indices) for _ in range(10)]
    below = [random_transfer(draw, config, 0x3000, DEPTH // 2 - 20, indices) for _ in range(10)]
    stores = [Transfer(t.dram + 0x4000, t.dram_pitch, t.rows, t.lines, t.buffer + DEPTH // 2, t.buffer_pitch, t.indices)
              for t in below]
    return loads, stores


@pytest.mark.parametrize("bus_bytes, ccpes", [(8, 1), (64, 2), (16, 4)])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_loads_stores_and_fetch_at_once(bus_bytes, ccpes, pause):
    config, dut, ram, store, simulation, seen = setup(bus_bytes, ccpes, pause)
    draw, line, got = random.Random(bus_bytes), config.line_bytes, []
    indices = [draw.randrange(6) for _ in range(6)]
    for n, entry in enumerate(table_lines(indices, config)):
        store.lines[TABLE + n] = entry
    loads, stores = halves(draw, config, indices)
    program = b"".join(bytes([(Opcode.END if n == 9 else Opcode.LOAD).value]) + draw.randbytes(63) for n in range(10))
    ram.bytes[PROGRAM:PROGRAM + 640] = program
    want_lines, want_bytes = list(store.lines), bytearray(ram.bytes)
    for transfer in loads:
        for dram, place in transfer.moves(line):
            want_lines[place] = int.from_bytes(ram.at(dram, line), "little")
    for transfer in stores:
        for dram, place in transfer.moves(line):
            want_bytes[dram:dram + line] = store.lines[place].to_bytes(line, "little")
    simulation.serve(send, dut.dma.load, [command(transfer, TABLE) for transfer in loads], ram.rests)
    simulation.serve(send, dut.dma.store, [command(transfer, TABLE) for transfer in stores], ram.rests)
    simulation.serve(receive, dut.fetch.instruction, ram.rests, got)

    async def test(ctx):
        ctx.set(dut.fetch.address, PROGRAM)
        ctx.set(dut.fetch.length, 10)
        ctx.set(dut.fetch.start, 1)
        await ctx.tick()
        ctx.set(dut.fetch.start, 0)
        while [len(pulses) for pulses in seen.values()] != [10, 10] or ctx.get(dut.fetch.busy):
            await ctx.tick()
        assert not ctx.get(dut.dma.busy) and ctx.get(dut.dma.fault.kind) == FaultKind.NONE

    simulation.run(test)
    assert store.lines == want_lines and ram.bytes == want_bytes
    assert b"".join(value.to_bytes(64, "little") for value in got) == program


@pytest.mark.parametrize("access", [Access.LOAD, Access.STORE])
def test_a_fault_of_either_is_reported_while_the_other_goes_on_until_stopped(access):
    _, dut, ram, _, simulation, seen = setup(16, 2, 0.3)
    ram.bad = {4096: FaultKind.SLVERR.value}
    bad, other = ("load", "store") if access is Access.LOAD else ("store", "load")

    async def test(ctx):
        await send(ctx, getattr(dut.dma, bad), [command(Transfer(4096, 0, 1, 9, 0, 0), TABLE)])
        while ctx.get(dut.dma.fault.kind) == FaultKind.NONE:
            await ctx.tick()
        fault = ctx.get(dut.dma.fault)
        assert fault.access == access and fault.address == 4096
        await send(ctx, getattr(dut.dma, other), [command(Transfer(8192, 0, 1, 9, 100, 0), TABLE)])
        while not seen[other]:
            await ctx.tick()
        ctx.set(dut.dma.stop, 1)
        await ctx.tick().until(~dut.dma.busy)
        assert not seen[bad]

    simulation.run(test)


def test_the_stated_latency():
    _, dut, _, _, simulation, _ = setup(16, 2, 0.0)

    async def test(ctx):
        await send(ctx, dut.dma.load, [command(Transfer(4096, 0, 1, 1, 0, 0), TABLE)])
        cycles = 1
        while not ctx.get(dut.bus.arvalid):
            await ctx.tick()
            cycles += 1
        assert cycles == Dma.latency

    simulation.run(test)
