# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.sim import Simulator

from hw.config import load_config
from hw.memory.right_store import RightStore

CONFIGS = [{}, {"depth": 2}, {"allocation": "none", "queue_depth": 8}, {"allocation": "none", "depth": 4}]


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


@pytest.mark.parametrize("changes", CONFIGS, ids=str)
@pytest.mark.parametrize("length", [1, 7, 24])
def test_lanes_read_the_rows_they_ask_for_in_both_slots(changes, length):
    config = load_config("tiny").replace(ccpes=1, right_rows=24, **changes)
    dut, draw = RightStore(config), random.Random(length)
    slots = [[[draw.randint(-128, 127) for _ in range(4)] for _ in range(length)] for _ in range(2)]

    async def bench(ctx):
        for n, rows in enumerate(slots):
            assert ctx.get(dut.full) == (1 << n) - 1
            await fill(ctx, dut, rows)
        assert ctx.get(dut.full) == 3 and not ctx.get(dut.right.ready)
        ctx.set(dut.advance, 1)
        for _ in range(60):
            slot, wanted = draw.randint(0, 1), []
            ctx.set(dut.slot, slot)
            for j in range(config.depth):
                mine = range(j, length, config.depth)
                wanted.append(draw.choice(mine) if mine else None)
                ctx.set(dut.dense_k[j], wanted[-1] or 0)
            # The sparse lane asks for another bank than the dense lane.
            banks = {k % config.residues for k in wanted if k is not None}
            others = [k for k in range(length) if k % config.residues not in banks]
            sparse = draw.choice(others) if config.sparse_lanes and others else None
            ctx.set(dut.sparse_k, sparse or 0)
            ctx.set(dut.sparse_fresh, sparse is not None)
            await ctx.tick()
            for j, k in enumerate(wanted):
                assert k is None or values(ctx.get(dut.dense[j])) == slots[slot][k]
            if sparse is not None:
                assert values(ctx.get(dut.sparse)) == slots[slot][sparse]

    simulate(dut, bench)


def test_the_sparse_row_is_held_and_nothing_moves_without_advance():
    dut = RightStore(load_config("tiny").replace(ccpes=1, right_rows=24))

    async def bench(ctx):
        await fill(ctx, dut, [[k] * 4 for k in range(8)])
        ctx.set(dut.advance, 1)
        ctx.set(dut.dense_k[0], 2)
        ctx.set(dut.sparse_k, 5)
        ctx.set(dut.sparse_fresh, 1)
        await ctx.tick()
        ctx.set(dut.sparse_fresh, 0)
        for k in (3, 4, 7):
            ctx.set(dut.dense_k[0], k)
            await ctx.tick()
            assert values(ctx.get(dut.dense[0])) == [k] * 4
            assert values(ctx.get(dut.sparse)) == [5] * 4
        ctx.set(dut.advance, 0)
        ctx.set(dut.dense_k[0], 0)
        await ctx.tick()
        assert values(ctx.get(dut.dense[0])) == [7] * 4

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
            assert values(ctx.get(dut.dense[0])) == [want] * 4

    simulate(dut, bench)
