# SPDX-License-Identifier: Apache-2.0
"""The variance of a row from its sums, exactly."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.vector.operations import VARIANCE_BITS, WIDTH_MAX
from hw.vector.rescale import Product

#: S1 and S2 of a row: sums of int16 values and of their squares.
SUM_BITS = 28
SQUARES_BITS = 43
Moments = data.StructLayout({"total": signed(SUM_BITS), "squares": unsigned(SQUARES_BITS)})

#: Where the products cut S2 and S1.
_SQUARES_LOW = 22
_TOTAL_LOW = 14


class Variance(Component):
    """d * S2 - S1^2 + epsilon, which is d^2 times the variance, by four products in turn.

    Members
    -------
    cols : In, epsilon : In
        d and epsilon of the command.
    i : In(stream of Moments)
        Sums of a row.
    valid : Out(1), variance : Out(55), total : Out(signed(28))
        The result with S1, for one cycle; there is no waiting for it to be taken.

    Latency: 8 cycles. Throughput: a row in 4 cycles.
    """

    latency = 8

    def __init__(self) -> None:
        super().__init__({"cols": In(range(WIDTH_MAX + 1)), "epsilon": In(VARIANCE_BITS),
                          "i": In(stream.Signature(Moments)), "valid": Out(1), "variance": Out(VARIANCE_BITS),
                          "total": Out(signed(SUM_BITS))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiply = product = Product(SUM_BITS, 17)
        held, sums = Signal(Moments), Signal(Moments)
        value, factor = Signal.like(product.value), Signal.like(product.factor)
        # The step whose product comes out, above it whether there is one.
        steps = [Signal(3, name=f"step_{n}") for n in range(2 + product.latency)]
        now, out = steps[0][:2], steps[-1][:2]
        step = Signal(2)
        m.d.comb += [steps[0].eq(Cat(step, self.i.valid | (step != 0))), self.i.ready.eq(step == 0),
                     sums.eq(Mux(step == 0, self.i.payload, held)), product.advance.eq(1), product.value.eq(value),
                     product.factor.eq(factor)]
        m.d.sync += [held.eq(sums), step.eq(step + steps[0][2]), *(b.eq(a) for a, b in zip(steps, steps[1:]))]
        with m.Switch(now):
            with m.Case(0):
                m.d.sync += [value.eq(sums.squares[:_SQUARES_LOW]), factor.eq(self.cols)]
            with m.Case(1):
                m.d.sync += [value.eq(sums.squares[_SQUARES_LOW:]), factor.eq(self.cols)]
            with m.Case(2):
                m.d.sync += [value.eq(sums.total), factor.eq(-sums.total[:_TOTAL_LOW])]
            with m.Case(3):
                m.d.sync += [value.eq(sums.total), factor.eq(-sums.total[_TOTAL_LOW:].as_signed())]
        running, placed = Signal(signed(VARIANCE_BITS + 2)), Signal(signed(VARIANCE_BITS + 2))
        with m.Switch(out):
            for n, place in enumerate((0, _SQUARES_LOW, 0, _TOTAL_LOW)):
                with m.Case(n):
                    m.d.comb += placed.eq(product.product << place)
        m.d.sync += [running.eq(Mux(out == 0, self.epsilon, running) + placed), self.valid.eq(steps[-1] == 7)]
        with m.If(out == 0):
            m.d.sync += self.total.eq(held.total)
        m.d.comb += self.variance.eq(running)
        return m
