# SPDX-License-Identifier: Apache-2.0
"""The two movers of the DMA, each alone between a memory and a buffer."""

import pytest

from hw.config import load_config
from hw.memory.load import Load
from verif.buses import AxiMemory, Bench, Lines, send
from verif.transfers import command, table_lines

TABLE, DEPTH = 240, 256      # the tests' tables lie above what they move


class Mover:
    """A `Load` or `Store`, its memory and its buffer, which holds a table of eight `indices`."""

    def __init__(self, kind, bus_bytes, ccpes, pause):
        self.config = load_config("tiny").replace(ccpes=ccpes, bus_bytes=bus_bytes, buffers=4, buffer_lines=64)
        self.dut, self.loads = kind(self.config, burst_beats=16, outstanding=4), kind is Load
        self.ram, self.buffer = AxiMemory(bus_bytes, 16, pause=pause), Lines(DEPTH, ccpes, pause=pause)
        self.indices = [self.buffer.draw.randrange(8) for _ in range(8)]
        for n, line in enumerate(table_lines(self.indices, self.config)):
            self.buffer.lines[TABLE + n] = line
        self.top, self.pulses = TABLE, 0
        self.simulation = Bench(self.dut)
        self.serve = self.simulation.serve
        if self.loads:
            self.serve(self.ram.serve_reads, self.dut.bus)
            self.serve(self.buffer.serve_writes, self.dut.write)
        else:
            self.serve(self.ram.serve_writes, self.dut.bus)
        self.serve(self.buffer.serve_reads, self.dut.request, self.dut.data)
        self.serve(self._count)

    async def _count(self, ctx):
        while True:
            *_, done = await ctx.tick().sample(self.dut.done)
            self.pulses += done

    @property
    def contents(self):
        """A copy of what transfers change: the buffer's lines of a load, the memory's bytes of a store."""
        return list(self.buffer.lines) if self.loads else bytearray(self.ram.bytes)

    def after(self, *transfers):
        """`contents` after these transfers."""
        want, line = self.contents, self.config.line_bytes
        for transfer in transfers:
            for dram, place in transfer.moves(line):
                if self.loads:
                    want[place] = int.from_bytes(self.ram.at(dram, line), "little")
                else:
                    want[dram:dram + line] = self.buffer.lines[place].to_bytes(line, "little")
        return want

    async def send(self, ctx, *transfers, rests=lambda: False):
        """Command the transfers."""
        await send(ctx, self.dut.command, [command(transfer, TABLE) for transfer in transfers], rests)

    async def finished(self, ctx, number):
        """Wait for the `number`-th pulse of `done`."""
        while self.pulses < number:
            await ctx.tick()

    async def pulse(self, ctx, signal):
        """Set a signal for one cycle."""
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    def run(self, test):
        """Run the test to its end."""
        self.simulation.run(test)


@pytest.fixture
def mover():
    """mover(Load or Store, bus_bytes, ccpes, pause): a `Mover`."""
    return Mover
