# SPDX-License-Identifier: Apache-2.0
"""The multiplier by every digit and the native one by corners; recoding to radix 4 against its definition."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

from hw.compute.multiplier import Multiplier, recode
from hw.payloads import Booth
from verif.digits import digit_of, factor_of, value_of, window_of


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def products(dut, digits, factors):
    got = []

    async def bench(ctx):
        for left, right in factors:
            ctx.set(dut.left, factor_of(left, digits))
            ctx.set(dut.right, right)
            await ctx.delay(1e-9)
            got.append(ctx.get(dut.product))

    simulate(dut, bench)
    return got


def test_every_digit_by_every_value():
    factors = [(left, right) for left in range(-8, 9) for right in range(-128, 128)]
    assert products(Multiplier(2), 2, factors) == [left * right for left, right in factors]


def test_native_by_every_corner():
    corners = (-128, -127, -64, -1, 0, 1, 2, 63, 126, 127)
    factors = [(left, right) for left in corners for right in range(-128, 128)]
    assert products(Multiplier(4), 4, factors) == [left * right for left, right in factors]


def test_a_negative_zero_is_zero():
    dut = Multiplier(2)

    async def bench(ctx):
        ctx.set(dut.left, [{"negative": 1, "one": 0, "two": 0}] * 2)
        for right in (-128, -1, 0, 127):
            ctx.set(dut.right, right)
            await ctx.delay(1e-9)
            assert ctx.get(dut.product) == 0

    simulate(dut, bench)


class Recoder(Component):
    """`recode` with ports."""

    def __init__(self, bits):
        self._digits = bits // 2
        super().__init__({"window": In(bits + 1), "factor": Out(data.ArrayLayout(Booth, bits // 2))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.factor.eq(recode(self.window))
        return m


@pytest.mark.parametrize("bits", [4, 8])
def test_recoding_keeps_the_value_in_digits_of_two_at_most(bits):
    dut = Recoder(bits)

    async def bench(ctx):
        for window in range(2 << bits):
            ctx.set(dut.window, window)
            await ctx.delay(1e-9)
            factor = [{name: digit[name] for name in ("negative", "one", "two")} for digit in ctx.get(dut.factor)]
            number = (window >> 1 ^ 1 << bits - 1) - (1 << bits - 1)
            assert value_of(factor) == number + (window & 1), window
            for i, digit in enumerate(factor):
                low, middle, high = (window >> 2 * i + n & 1 for n in range(3))
                assert value_of([digit]) == low + middle - 2 * high
                assert not digit["one"] & digit["two"]

    simulate(dut, bench)


def test_windows_and_factors_of_every_digit():
    for digit in range(-8, 9):
        assert {digit_of(window_of(digit, carried)) for carried in (False, True)} == {digit}
        assert value_of(factor_of(digit, 2)) == digit
    assert len({window_of(digit, carried) for digit in range(-8, 9) for carried in (False, True)}) == 32
    assert all(value_of(factor_of(value, 4)) == value for value in range(-128, 128))
