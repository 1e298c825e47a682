# SPDX-License-Identifier: Apache-2.0
from amaranth.sim import Simulator

from hw.config import load_config
from hw.payloads import Shift
from hw.recover.shadow import Shadow


def test_captures_shifts_rows_and_columns_and_holds():
    dut = Shadow(load_config("tiny"))
    block = [[10 * r + c - 20 for c in range(4)] for r in range(4)]
    init = [-1, -2, -3, -4]

    async def bench(ctx):
        ctx.set(dut.merged, block)
        ctx.set(dut.init, init)
        want = block
        for capture, shift in ((1, Shift.ROWS), (0, Shift.NONE), (0, Shift.ROWS), (0, Shift.COLUMNS),
                               (0, Shift.COLUMNS), (0, Shift.ROWS)):
            ctx.set(dut.capture, capture)
            ctx.set(dut.shift, shift)
            await ctx.tick()
            if capture:
                want = block
            elif shift == Shift.ROWS:
                want = want[1:] + [init]
            elif shift == Shift.COLUMNS:
                want = [row[1:] + [init[r]] for r, row in enumerate(want)]
            assert [[ctx.get(dut.stored[r][c]) for c in range(4)] for r in range(4)] == want

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
