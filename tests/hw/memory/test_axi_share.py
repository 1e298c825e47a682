# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, Out, connect, flipped

from hw.control.fault import Access
from hw.memory.axi import read_signature
from hw.memory.axi_read import AxiReader
from hw.memory.axi_share import AxiReadShare
from verif.buses import AxiMemory, Bench, receive, send


class Shared(Component):
    """Readers of different units behind one port."""

    def __init__(self, units):
        self.readers = [AxiReader(16, unit, 4, 3, Access.LOAD) for unit in units]
        ports = {f"{name}_{n}": reader.signature.members[name]
                 for n, reader in enumerate(self.readers) for name in ("command", "unit")}
        super().__init__({**ports, "busy": Out(1), "bus": Out(read_signature(16))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.share = share = AxiReadShare(len(self.readers), 16, 4)
        connect(m, share.bus, flipped(self.bus))
        for n, reader in enumerate(self.readers):
            m.submodules[f"reader_{n}"] = reader
            connect(m, reader.bus, share.master[n])
            connect(m, flipped(getattr(self, f"command_{n}")), reader.command)
            connect(m, reader.unit, flipped(getattr(self, f"unit_{n}")))
        busy = 0
        for reader in self.readers:
            busy = busy | reader.busy
        m.d.comb += self.busy.eq(busy)
        return m


@pytest.mark.parametrize("units", [(16, 64), (64, 16, 32)])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_every_master_gets_what_it_asked_for(units, pause):
    draw, ram, dut = random.Random(len(units)), AxiMemory(16, 4, pause=pause), Shared(units)
    simulation, got, want, tasks = Bench(dut), [[] for _ in units], [], []
    simulation.serve(ram.serve_reads, dut.bus)
    for n, unit in enumerate(units):
        asked = [{"address": draw.randrange(256) * unit, "units": draw.randint(1, 20), "last": 1} for _ in range(8)]
        want.append(b"".join(ram.at(item["address"], item["units"] * unit) for item in asked))
        tasks.append((getattr(dut, f"command_{n}"), asked))
        simulation.serve(receive, getattr(dut, f"unit_{n}"), ram.rests, got[n])
        if n:
            simulation.serve(send, *tasks[n], ram.rests)

    async def test(ctx):
        await send(ctx, *tasks[0], ram.rests)
        while [len(found) * unit for found, unit in zip(got, units)] != [len(text) for text in want]:
            await ctx.tick()
        await ctx.tick()
        assert not ctx.get(dut.busy)

    simulation.run(test)
    for n, unit in enumerate(units):
        assert b"".join(value.to_bytes(unit, "little") for value in got[n]) == want[n]


@pytest.mark.parametrize("asking", [1, 2])
def test_a_beat_a_cycle_from_one_master_or_two(asking):
    ram, dut = AxiMemory(16, 4), Shared((16, 16))
    simulation, got = Bench(dut), [[], []]
    simulation.serve(ram.serve_reads, dut.bus)
    for n in range(asking):
        simulation.serve(receive, getattr(dut, f"unit_{n}"), lambda: False, got[n])

    async def test(ctx):
        for n in range(asking):
            await send(ctx, getattr(dut, f"command_{n}"), [{"address": 0, "units": 100, "last": 1}])
        await ctx.tick().until(~dut.busy)

    simulation.run(test)
    cycles = [cycle for cycle, _ in ram.beats]
    assert len(cycles) == 100 * asking and cycles[-1] - cycles[0] <= len(cycles) + 2
