# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.sim import Simulator

from hw.config import load_config
from hw.memory.right_reader import RightReader

CONFIGS = [{}, {"depth": 2}, {"depth": 4, "scan": 8, "slots": 8, "allocation": "threshold"},
           {"allocation": "none", "depth": 4}, {"allocation": "sparse", "sparse_sum": "shared", "queue_depth": 8}]


def values(view):
    return [int(view[i]) for i in range(view.shape().length)]


@pytest.mark.parametrize("changes", CONFIGS, ids=str)
def test_each_lane_gets_the_row_of_its_bank_and_the_sparse_row_is_held(changes):
    config = load_config("tiny").replace(ccpes=1, **changes)
    dut, draw = RightReader(config), random.Random(1)
    banks, depth = config.residues, config.dense_depth

    async def bench(ctx):
        held = None
        for _ in range(200):
            rows = [[draw.randint(-128, 127) for _ in range(4)] for _ in range(banks)]
            ctx.set(dut.row, rows)
            upper = draw.getrandbits(depth) if depth and banks > depth else 0
            if depth:
                ctx.set(dut.upper, upper)
            if config.sparse_lanes:
                bank, fresh, advance = draw.randrange(banks), held is None or draw.random() < 0.4, draw.random() < 0.7
                ctx.set(dut.bank, 1 << bank)
                ctx.set(dut.fresh, fresh)
                ctx.set(dut.advance, advance)
            await ctx.delay(1e-9)
            for j in range(depth):
                assert values(ctx.get(dut.dense[j])) == rows[j + depth * (upper >> j & 1)]
            if config.sparse_lanes:
                now = rows[bank] if fresh else held
                assert values(ctx.get(dut.sparse)) == now
                held = now if advance else held
            if config.sparse_lanes:
                await ctx.tick()

    simulator = Simulator(dut)
    if config.sparse_lanes:       # else it has no register
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
