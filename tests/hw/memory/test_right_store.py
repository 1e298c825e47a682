# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.sim import Simulator

from hw.config import load_config
from hw.memory.right_store import RightStore

CONFIGS = [{}, {"depth": 2}, {"allocation": "none", "queue_depth": 8}, {"allocation": "none", "depth": 4},
           {"allocation": "sparse", "sparse_sum": "shared", "queue_depth": 8}, {"allocation": "merge"},
           {"allocation": "merge", "depth": 4, "buses": 4, "scan": 8, "slots": 8}]


async def fill(ctx, dut, rows):
    for k, row in enumerate(rows):
        ctx.set(dut.right.payload, {"value": row, "last": k == len(rows) - 1})
        ctx.set(dut.right.valid, 1)
        await ctx.tick().until(dut.right.ready)
    ctx.set(dut.right.valid, 0)


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def values(view):
    return [int(view[i]) for i in range(view.shape().length)]


def small(changes):
    return load_config("tiny").replace(ccpes=1, right_rows=24 if changes.get("depth", 1) < 4 else 32, **changes)


@pytest.mark.parametrize("changes", CONFIGS, ids=str)
@pytest.mark.parametrize("length", [1, 7, 24])
def test_every_bank_gives_the_row_asked_for_in_both_slots(changes, length):
    config = small(changes)
    dut, draw = RightStore(config), random.Random(length)
    slots = [[[draw.randint(-128, 127) for _ in range(4)] for _ in range(length)] for _ in range(2)]

    async def bench(ctx):
        for n, rows in enumerate(slots):
            assert ctx.get(dut.full) == (1 << n) - 1
            await fill(ctx, dut, rows)
        assert ctx.get(dut.full) == 3 and not ctx.get(dut.right.ready)
        want = [None] * config.residues
        for _ in range(60):
            slot, advance = draw.randint(0, 1), draw.random() < 0.7
            ctx.set(dut.slot, slot)
            ctx.set(dut.advance, advance)
            for bank in range(config.residues):
                mine = range(bank, length, config.residues)
                k = draw.choice(mine) if mine else None
                ctx.set(dut.k[bank], (k or 0) // config.residues)
                if advance:
                    want[bank] = None if k is None else slots[slot][k]
            await ctx.tick()
            for bank, row in enumerate(want):
                assert row is None or values(ctx.get(dut.row[bank])) == row

    simulate(dut, bench)


def test_a_freed_slot_is_filled_again_in_turn():
    dut = RightStore(load_config("tiny").replace(ccpes=1, right_rows=24))

    async def bench(ctx):
        await fill(ctx, dut, [[1] * 4] * 3)
        await fill(ctx, dut, [[2] * 4])
        ctx.set(dut.free, 1)
        await ctx.tick()
        ctx.set(dut.free, 0)
        assert ctx.get(dut.full) == 2 and ctx.get(dut.right.ready)
        await fill(ctx, dut, [[3] * 4] * 2)
        assert ctx.get(dut.full) == 3
        ctx.set(dut.advance, 1)
        for slot, want in ((0, 3), (1, 2)):
            ctx.set(dut.slot, slot)
            await ctx.tick()
            assert values(ctx.get(dut.row[0])) == [want] * 4

    simulate(dut, bench)
