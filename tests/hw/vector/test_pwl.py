# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from amaranth.sim import Simulator

from hw.vector.pwl import TableUnit
from hw.vector.tables import exp2_table, gelu_table, reciprocal_table, rsqrt_table
from model.exact.vector.tables import build_tables


@pytest.mark.parametrize("tables, names, step, latency", [
    ((exp2_table(), gelu_table()), ("exp2", "gelu"), 3, 2), ((gelu_table(),), ("gelu",), 17, 2),
    ((reciprocal_table(), rsqrt_table()), ("reciprocal", "rsqrt"), 61, 3)])
def test_equals_the_law_in_every_segment(tables, names, step, latency):
    dut = TableUnit(*tables)

    async def bench(ctx):
        ctx.set(dut.advance, 1)
        for n, name in enumerate(names):
            table = getattr(build_tables(), name)
            ends = [row << table.remainder_bits for row in range(64)]
            x = [*range(0, 1 << table.input_bits, step), *ends, *(end - 1 for end in ends[1:]),
                 (1 << table.input_bits) - 1]
            ctx.set(dut.which, n)
            got = []
            for value in (*x, *[0] * (latency - 1)):
                ctx.set(dut.x, value)
                await ctx.tick()
                got.append(ctx.get(dut.y))
            assert dut.latency == latency and got[latency - 1:] == table(torch.tensor(x)).tolist()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
