# SPDX-License-Identifier: Apache-2.0
from amaranth.sim import Simulator

from hw.compute.multiplier import DigitMultiplier, NativeMultiplier


def products(dut, factors):
    got = []

    async def bench(ctx):
        for left, plane, right in factors:
            ctx.set(dut.left, left)
            ctx.set(dut.plane, plane)
            ctx.set(dut.right, right)
            await ctx.delay(1e-9)
            got.append(ctx.get(dut.product))

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    return got


def test_every_digit_by_every_value_in_both_planes():
    factors = [(left, plane, right) for left in range(-15, 16) for plane in (0, 1) for right in range(-128, 128)]
    assert products(DigitMultiplier(), factors) == [left * right * 16 ** plane for left, plane, right in factors]


def test_native_multiplier_at_every_corner_and_ignores_the_plane():
    corners = (-128, -127, -64, -1, 0, 1, 63, 126, 127)
    factors = [(left, plane, right) for left in corners for plane in (0, 1) for right in range(-128, 128)]
    assert products(NativeMultiplier(), factors) == [left * right for left, _, right in factors]
