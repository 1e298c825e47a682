# SPDX-License-Identifier: Apache-2.0
"""Row scales against the laws' formulas, at every magnitude of a row sum and of a variance; latency and pace."""

import random

import torch
from amaranth.sim import Simulator

from hw.vector.row_queue import RowQueue
from hw.vector.row_scale import RowScales
from model.exact.vector.tables import build_tables


def root_of(total, squares, cols, epsilon):
    """(factor, offset, shift) by which `model.exact.vector.layernorm.normalised` scales a row."""
    variance = cols * squares - total * total + epsilon
    lead = variance.bit_length() - 1
    fraction = (variance << 15 >> lead) & 0x7FFF
    r = build_tables().rsqrt(torch.tensor((lead & 1) << 15 | fraction)).item()
    return cols * r, -total * r, (lead >> 1) + 5


def reciprocal_of(row_sum):
    """The same of `model.exact.vector.softmax.mean`."""
    lead = row_sum.bit_length() - 1
    r = build_tables().reciprocal(torch.tensor((row_sum << 16 >> lead) & 0xFFFF)).item()
    return r, 0, lead + 7


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def watch(ctx, dut, cycle, got):
    *_, valid, scale = await ctx.tick().sample(dut.valid, dut.scale)
    if valid:
        got.append((cycle, (scale.factor, scale.offset, scale.shift)))


def test_divisors_of_every_magnitude_one_a_cycle():
    dut, draw, got = RowScales(), random.Random(1), []
    divisors = [1, 2, 3, (1 << 20) - 1, 127, *(draw.randint(1 << n, (2 << n) - 1) for n in range(20) for _ in range(8))]

    async def bench(ctx):
        ctx.set(dut.divide, 1)
        for cycle in range(len(divisors) + dut.latency):
            if cycle < len(divisors):
                ctx.set(dut.divisor, divisors[cycle])
            else:
                ctx.set(dut.divide, 0)
            await watch(ctx, dut, cycle, got)

    simulate(dut, bench)
    assert [scale for _, scale in got] == [reciprocal_of(divisor) for divisor in divisors]
    assert got[0][0] == dut.latency


def moments(draw, cols):
    """Sums of rows of `cols` int16 values: constants, extremes and all between."""
    for amplitude in (0, 1, 40, 3000, 32767):
        for base in (0, -32768 + amplitude, 32767 - amplitude):
            row = [base + draw.randint(-amplitude, amplitude) for _ in range(cols)]
            yield sum(row), sum(value * value for value in row)
    low = cols // 2
    yield low * 32767 - (cols - low) * 32768, low * 32767 ** 2 + (cols - low) * 32768 ** 2
    yield -32768 * cols, cols << 30


def test_moments_of_every_magnitude_one_in_four_cycles():
    draw = random.Random(2)
    for cols, epsilon in ((1, 1), (3, (1 << 54) - 1), (96, 77), (384, 1 << 33), (4096, 1)):
        dut, got, rows = RowScales(), [], list(moments(draw, cols))

        async def bench(ctx, dut=dut, cols=cols, epsilon=epsilon, rows=rows, got=got):
            ctx.set(dut.layernorm, 1)
            ctx.set(dut.cols, cols)
            ctx.set(dut.epsilon, epsilon)
            for cycle in range(4 * len(rows) + dut.latency_layernorm):
                row = rows[cycle // 4] if cycle < 4 * len(rows) else (0, 0)
                ctx.set(dut.moments.payload, dict(zip(("total", "squares"), row)))
                ctx.set(dut.moments.valid, cycle < 4 * len(rows))
                assert ctx.get(dut.moments.ready) == (cycle % 4 == 0 or cycle >= 4 * len(rows))
                await watch(ctx, dut, cycle, got)

        simulate(dut, bench)
        assert [scale for _, scale in got] == [root_of(*row, cols, epsilon) for row in rows]
        assert [cycle for cycle, _ in got] == [dut.latency_layernorm + 4 * n for n in range(len(rows))]


def test_queue_keeps_order_through_stalls(play):
    for stall in (0.0, 0.5):
        beats = list(range(60))
        run = play(RowQueue(8, 4), {"i": beats}, {"o": len(beats)}, stall)
        assert run.beats["o"] == beats
    run = play(RowQueue(8, 4), {"i": beats}, {"o": len(beats)})
    assert run.moved["o"][0] - run.moved["i"][0] == RowQueue.latency
    assert run.moved["o"][-1] - run.moved["o"][0] == len(beats) - 1
