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
_WIDTH = VARIANCE_BITS + 2
_HALF = 28
#: A row's first step, at work.
_FIRST = 4


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

    Latency: 10 cycles. Throughput: a row in 4 cycles.
    """

    latency = 10

    def __init__(self) -> None:
        super().__init__({"cols": In(range(WIDTH_MAX + 1)), "epsilon": In(VARIANCE_BITS),
                          "i": In(stream.Signature(Moments)), "valid": Out(1), "variance": Out(VARIANCE_BITS),
                          "total": Out(signed(SUM_BITS))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiply = product = Product(SUM_BITS, 17)
        held, sums = Signal(Moments), Signal(Moments)
        value, factor = Signal.like(product.value), Signal.like(product.factor)
        step, kept = Signal(2), Signal(signed(SUM_BITS))
        # By cycle: which of a row's four steps is at work, and bit 2 whether one is.
        steps = [Signal(3, name=f"step_{n}") for n in range(self.latency - 1)]
        m.d.comb += [steps[0].eq(Cat(step, self.i.valid | (step != 0))), self.i.ready.eq(step == 0),
                     sums.eq(Mux(step == 0, self.i.payload, held)), product.advance.eq(1), product.value.eq(value),
                     product.factor.eq(factor)]
        m.d.sync += [held.eq(sums), step.eq(step + steps[0][2]), *(b.eq(a) for a, b in zip(steps, steps[1:]))]
        with m.Switch(steps[0][:2]):
            with m.Case(0):
                m.d.sync += [value.eq(sums.squares[:_SQUARES_LOW]), factor.eq(self.cols)]
            with m.Case(1):
                m.d.sync += [value.eq(sums.squares[_SQUARES_LOW:]), factor.eq(self.cols)]
            with m.Case(2):
                m.d.sync += [value.eq(sums.total), factor.eq(sums.total[:_TOTAL_LOW])]
            with m.Case(3):
                m.d.sync += [value.eq(sums.total), factor.eq(sums.total[_TOTAL_LOW:].as_signed())]
        with m.If(steps[4] == _FIRST):      # S1 waits where the next row's does not reach it
            m.d.sync += kept.eq(held.total)
        with m.If(steps[8] == _FIRST):
            m.d.sync += self.total.eq(kept)
        self._add_up(m, product.product, steps[1 + product.latency:])
        m.d.sync += self.valid.eq(steps[self.latency - 4] == _FIRST + 3)
        return m

    def _add_up(self, m: Module, product: Signal, steps: list[Signal]) -> None:
        """Add or subtract the products in their places: the lower half of the sum, a cycle later the upper half."""
        placed, negative = Signal(signed(_WIDTH)), Signal()
        low, carry, kept_low = Signal(_HALF), Signal(), Signal(_HALF)
        upper, high = Signal(_WIDTH - _HALF), Signal(VARIANCE_BITS - _HALF)
        with m.Switch(steps[0][:2]):
            for n, (place, minus) in enumerate(((0, 0), (_SQUARES_LOW, 0), (0, 1), (_TOTAL_LOW, 1))):
                with m.Case(n):
                    term = product << place
                    m.d.sync += [placed.eq(~term if minus else term), negative.eq(minus)]
        first, then = (stage[:2] == 0 for stage in steps[1:3])
        m.d.sync += [Cat(low, carry).eq(Mux(first, self.epsilon[:_HALF], low) + placed[:_HALF] + negative),
                     upper.eq(placed[_HALF:]), kept_low.eq(low),
                     high.eq(Mux(then, self.epsilon[_HALF:], high) + upper + carry)]
        m.d.comb += self.variance.eq(Cat(kept_low, high))
