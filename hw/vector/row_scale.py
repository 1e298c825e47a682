# SPDX-License-Identifier: Apache-2.0
"""What is computed once a row: the reciprocal of its sum, or the reciprocal root of its variance."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.numerics import SHIFT_MAX
from hw.vector.lane import FACTOR_BITS
from hw.vector.operations import MEAN_FRACTION_BITS, NORM_FRACTION_BITS, ROW_SUM_BITS, VARIANCE_BITS, WIDTH_MAX
from hw.vector.pwl import TableUnit
from hw.vector.rescale import Product
from hw.vector.tables import RECIPROCAL_FRACTION_BITS, RSQRT_INPUT_BITS, reciprocal_table, rsqrt_table
from hw.vector.variance import SUM_BITS, Moments, Variance

#: What a row adds to the first rescaling, (x * factor + offset) / 2^shift.
OFFSET_BITS = FACTOR_BITS + 16
RowScale = data.StructLayout({"factor": signed(FACTOR_BITS), "offset": signed(OFFSET_BITS),
                              "shift": range(SHIFT_MAX + 1)})
#: Amounts by which each of the normaliser's steps may move the leading one.
_MOVES = ((32, 16), (8, 4), (2, 1))


class RowScales(Component):
    """Turn sums over rows into what their elements are scaled by.

    Both operations bring a number's leading one to a fixed place and look the rest up. LayerNorm, from S1 and S2:
    r = reciprocal root of the variance, factor = d * r, offset = -S1 * r. Division, from a row sum: factor = r.

    Members
    -------
    layernorm : In(1), cols : In, epsilon : In
        Of the command; held while rows are under way.
    moments : In(stream of Moments)
        Sums of LayerNorm's rows.
    divide : In(1), divisor : In(20)
        A row sum to divide by, at least 1; one may come every cycle.
    valid : Out(1), scale : Out(RowScale)
        Results in order; there is no waiting for them to be taken.

    Latency: 21 cycles from `moments`, 6 from `divisor`. Throughput: a row in 4 cycles, of `divisor` a row a cycle.
    Numerics: exact but for the tables (docs/numerics.md).
    """

    #: Of a division; of LayerNorm.
    latency = 6
    latency_layernorm = 21

    def __init__(self) -> None:
        super().__init__({
            "layernorm": In(1), "cols": In(range(WIDTH_MAX + 1)), "epsilon": In(VARIANCE_BITS),
            "moments": In(stream.Signature(Moments)), "divide": In(1), "divisor": In(ROW_SUM_BITS),
            "valid": Out(1), "scale": Out(RowScale)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.row_variance = variance = Variance()
        m.submodules.table = table = TableUnit(reciprocal_table(), rsqrt_table())
        connect(m, flipped(self.moments), variance.i)
        m.d.comb += [variance.cols.eq(self.cols), variance.epsilon.eq(self.epsilon), table.advance.eq(1),
                     table.which.eq(self.layernorm)]
        number = Mux(self.layernorm, variance.variance, self.divisor << (VARIANCE_BITS - ROW_SUM_BITS))
        valid = Mux(self.layernorm, variance.valid, self.divide)
        moved = Const(0)
        for n, moves in enumerate(_MOVES):
            number, moved = _normalise(m, n, number, moved, moves)
        fraction = number[:VARIANCE_BITS - 1]
        m.d.comb += table.x.eq(Mux(self.layernorm, Cat(fraction[-RSQRT_INPUT_BITS + 1:], moved[0]), fraction[-16:]))
        beside = Cat(valid, variance.total)
        for n in range(len(_MOVES)):
            beside = _later(m, beside, f"beside_{n}")
        for n in range(table.latency):
            beside, moved = _later(m, beside, f"beside_{n + len(_MOVES)}"), _later(m, moved, f"moved_{n}")
        self._scale(m, beside[0], table.y, moved, beside[1:].as_signed())
        return m

    def _scale(self, m: Module, valid: Value, r: Value, moved: Value, total: Value) -> None:
        """A division's result at once, LayerNorm's from two more products."""
        m.submodules.multiply = product = Product(SUM_BITS, 17)
        value, factor, second = Signal.like(product.value), Signal.like(product.factor), Signal()
        shift, offset = Signal(range(SHIFT_MAX + 1)), Signal(signed(OFFSET_BITS))
        m.d.comb += [product.advance.eq(1), product.value.eq(value), product.factor.eq(factor)]
        m.d.sync += second.eq(valid)
        with m.If(valid):
            m.d.sync += [value.eq(total), factor.eq(r),
                         shift.eq((VARIANCE_BITS - 1 - moved >> 1) + RECIPROCAL_FRACTION_BITS - NORM_FRACTION_BITS)]
        with m.Else():
            m.d.sync += value.eq(self.cols)
        out = second
        for n in range(product.latency):
            out = _later(m, out, f"out_{n}")
        done, kept = _later(m, out, "done"), _later(m, shift, "kept_shift")
        m.d.sync += offset.eq(-product.product)
        with m.If(self.layernorm):
            m.d.comb += [self.valid.eq(done), self.scale.factor.eq(product.product), self.scale.offset.eq(offset),
                         self.scale.shift.eq(kept)]
        with m.Else():
            m.d.comb += [self.valid.eq(valid), self.scale.factor.eq(r),
                         self.scale.shift.eq(ROW_SUM_BITS - 1 - moved + RECIPROCAL_FRACTION_BITS - MEAN_FRACTION_BITS)]


def _normalise(m: Module, step: int, number: Value, moved: Value, moves: tuple[int, ...]) -> tuple[Value, Value]:
    """Registers with `number` moved up by some of `moves`, as far as zeros stand above, and by how much so far."""
    after, total = Signal(VARIANCE_BITS, name=f"number_{step}"), Signal(6, name=f"moved_by_{step}")
    taken = 0
    for amount in moves:
        empty = Signal(name=f"empty_{amount}")
        current = Signal(VARIANCE_BITS, name=f"before_{amount}")
        m.d.comb += [current.eq(number), empty.eq(current[VARIANCE_BITS - amount:] == 0)]
        number, taken = Mux(empty, current << amount, current), taken + (empty << amount.bit_length() - 1)
    m.d.sync += [after.eq(number), total.eq(moved + taken)]
    return after, total


def _later(m: Module, value: Value, name: str) -> Signal:
    """A register behind `value`."""
    register = Signal.like(Value.cast(value), name=name)
    m.d.sync += register.eq(value)
    return register
