# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.sim import Simulator

from hw.control.queue import RegisterQueue


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_order_head_and_the_entry_behind_it(depth):
    dut, draw, model = RegisterQueue(8, depth), random.Random(depth), []

    async def bench(ctx):
        for n in range(400):
            put, take = draw.randint(0, 1), draw.randint(0, 1)
            ctx.set(dut.i.valid, put)
            ctx.set(dut.i.payload, n % 256)
            ctx.set(dut.o.ready, take)
            assert ctx.get(dut.i.ready) == (len(model) < depth)
            assert ctx.get(dut.o.valid) == bool(model) and ctx.get(dut.second_valid) == (len(model) > 1)
            if model:
                assert ctx.get(dut.o.payload) == model[0]
            if len(model) > 1:
                assert ctx.get(dut.second) == model[1]
            taken = take and bool(model)
            put = put and len(model) < depth
            await ctx.tick()
            if taken:
                model.pop(0)
            if put:
                model.append(n % 256)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_beat_a_cycle_with_the_stated_latency(play):
    run = play(RegisterQueue(8, 2), {"i": list(range(20))}, {"o": 20})
    assert run.beats["o"] == list(range(20))
    assert [b - a for a, b in zip(run.moved["i"], run.moved["o"], strict=True)] == [RegisterQueue.latency] * 20
    assert run.moved["o"][-1] - run.moved["o"][0] == 19


def test_depth_of_one_is_refused():
    never_built = RegisterQueue.__new__(RegisterQueue)
    never_built._MustUse__silence = True
    with pytest.raises(ValueError, match="depth is 1, must be at least 2"):
        never_built.__init__(8, 1)
