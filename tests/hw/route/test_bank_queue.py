# SPDX-License-Identifier: Apache-2.0
"""Bank queue of the merge unit: order, every digit taken once, capacity, at every pace of either side."""

import random

import pytest
from amaranth.sim import Simulator

from hw.config import load_config
from hw.route.bank_queue import BankQueue

#: slots of a bank, places.
SHAPES = [(1, 2), (2, 4), (2, 5), (4, 8)]


def slot(number, draw):
    """A segment that its digits tell apart; none where `number` is None."""
    if number is None:
        return {"valid": 0, "k": 0, "plane": 0, "rows": draw.getrandbits(4), "digit": [draw.getrandbits(5)] * 4}
    return {"valid": 1, "k": number % 64, "plane": number & 1, "rows": draw.randint(1, 15),
            "digit": [number + row & 31 for row in range(4)]}


class Model:
    """The queue as a list: the first is the head, its `rows` still to be taken."""

    def __init__(self, places, arriving):
        self.behind, self.head, self._limit = [], None, places - arriving

    @property
    def ready(self):
        return len(self.behind) <= self._limit

    def step(self, arrivals, taken):
        if self.head is not None:
            self.head["rows"] &= ~taken
            self.head = self.head if self.head["rows"] else None
        self.behind += arrivals
        if self.head is None and self.behind:
            self.head = self.behind.pop(0)


@pytest.mark.parametrize("arriving, places", SHAPES)
@pytest.mark.parametrize("writes, takes", [(1.0, 1.0), (1.0, 0.2), (0.2, 1.0), (0.5, 0.5)])
def test_segments_leave_in_order_each_digit_once(arriving, places, writes, takes):
    config = load_config("tiny").replace(allocation="merge", scan=16, slots=2 * arriving, queue_depth=places)
    dut, draw, model = BankQueue(config), random.Random(places), Model(places, arriving)
    sent, taken = [], {}

    async def bench(ctx):
        for _ in range(400):
            await ctx.delay(1e-9)
            head = ctx.get(dut.head)
            assert bool(head.valid) == (model.head is not None)
            assert ctx.get(dut.level) == (1 << len(model.behind)) - 1
            assert ctx.get(dut.ready) == model.ready
            take = 0
            if model.head is not None:
                want = model.head
                assert (head.k, head.plane, head.rows) == (want["k"], want["plane"], want["rows"])
                assert [head.digit[row] for row in range(4)] == want["digit"]
                assert ctx.get(dut.head_parity) == want["parity"]
                take = want["rows"] & (15 if draw.random() < 0.3 else draw.getrandbits(4)) * (draw.random() < takes)
                taken[want["number"]] = taken.get(want["number"], 0) + take     # twice would carry
            # Writing is decided before the takes are known.
            write = model.ready and draw.random() < writes
            number = draw.randint(0, arriving) if write else 0
            beat = [len(sent) + i if i < number else None for i in range(arriving)]
            payload, parity = [slot(number, draw) for number in beat], draw.getrandbits(1)
            ctx.set(dut.incoming, payload)
            ctx.set(dut.write, write)
            ctx.set(dut.write_parity, parity)
            ctx.set(dut.take, take)
            await ctx.delay(1e-9)
            spent = model.head is not None and model.head["rows"] == take
            assert ctx.get(dut.spent) == spent
            await ctx.tick()
            arrivals = [{**item, "number": number, "parity": parity}
                        for item, number in zip(payload, beat, strict=True) if write and number is not None]
            sent.extend(item["rows"] for item in arrivals)
            model.step(arrivals, take)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    through = max(taken)
    assert through > 30 and all(taken[number] == sent[number] for number in range(through))
