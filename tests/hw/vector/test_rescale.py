# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.sim import Simulator

from hw.numerics import SHIFT_MAX, round_shift, saturate
from hw.vector.rescale import Product, Rescale


def run(dut, cases, late, read):
    """Results of `cases`, one a cycle; an input named in `late` is given as many cycles after the others."""
    out = []

    async def bench(ctx):
        ctx.set(dut.advance, 1)
        for n in range(len(cases) + dut.latency):
            for name in ("value", "factor", "addend", "shift"):
                at = n - late.get(name, 0)
                if hasattr(dut, name) and 0 <= at < len(cases):
                    ctx.set(getattr(dut, name), cases[at][name])
            await ctx.tick()
            out.append(ctx.get(read))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return out[dut.latency - 1:][:len(cases)]


def cases(value_bits, factor_bits, count=600):
    draw, low, high = random.Random(value_bits), -1 << value_bits - 2, (1 << value_bits - 2) - 1
    for n in range(count):
        factor = draw.choice((0, 1, 4095, 2048, draw.randint(0, 4095), -1 << factor_bits - 1,
                              (1 << factor_bits - 1) - 1))
        value, shift = draw.choice((low, high, 0, -1, draw.randint(low, high))), n % (SHIFT_MAX + 1)
        if n % 3 == 0 and 0 < factor < 4096:        # a tie, or an end of the range
            half = (1 << shift) >> 1
            target = draw.choice((half * (2 * draw.randint(-99, 99) + 1), (32767 << shift) + half,
                                  (-32768 << shift) - half))
            value = max(low, min(high, target // factor + draw.randint(-1, 1)))
        addend = draw.choice((0, draw.randint(low * 1000, high * 1000)))
        yield {"value": value, "factor": factor, "addend": addend, "shift": shift}


@pytest.mark.parametrize("value_bits, factor_bits, bits, latency", [(29, 17, 16, 5), (16, 17, 20, 4), (16, 13, 16, 4)])
def test_rounds_and_saturates_like_the_law(value_bits, factor_bits, bits, latency):
    dut, given = Rescale(value_bits, factor_bits, bits), list(cases(value_bits, factor_bits))
    assert dut.latency == latency
    got = run(dut, given, {"addend": latency - 3, "shift": latency - 2}, dut.o)
    assert got == [saturate(round_shift(case["value"] * case["factor"] + case["addend"], case["shift"]), bits)
                   for case in given]


@pytest.mark.parametrize("value_bits, latency", [(16, 2), (28, 3)])
def test_product_is_exact(value_bits, latency):
    dut, given = Product(value_bits, 17), list(cases(value_bits, 17, 200))
    assert dut.latency == latency
    got = run(dut, given, {"addend": latency - 1}, dut.product)
    assert got == [case["value"] * case["factor"] + case["addend"] for case in given]


def test_stands_still_without_advance():
    dut, seen = Rescale(16, 13, 16), []

    async def bench(ctx):
        for advance in (1, 0, 1, 1, 0, 0, 1):
            ctx.set(dut.advance, advance)
            ctx.set(dut.value, 5 if not seen else 9)
            ctx.set(dut.factor, 2)
            await ctx.tick()
            seen.append(ctx.get(dut.o))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [0, 0, 0, 0, 0, 0, 10]
