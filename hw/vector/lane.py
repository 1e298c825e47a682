# SPDX-License-Identifier: Apache-2.0
"""One lane of the vector unit: rescale, table, gate, rescale; an element a cycle."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX
from hw.vector.operations import (
    BRANCH_FRACTION_MAX,
    HALVINGS_MAX,
    MODULATION_FRACTION_BITS,
    NORM_FRACTION_BITS,
    THRESHOLD_MAX,
    Op,
    among,
)
from hw.vector.pwl import TableUnit
from hw.vector.rescale import Rescale, clamp
from hw.vector.tables import EXP2_GUARD_BITS, EXP2_INPUT_BITS, GELU_INPUT_BITS, exp2_table, gelu_table

#: Bits of a row's factor, signed: d times a reciprocal root.
FACTOR_BITS = 29
#: Of the gate's product, rounded and before it is saturated.
_GATED_BITS = 20
_ONE = 1 << MODULATION_FRACTION_BITS


class VectorLane(Component):
    """The element's way through every operation; what an operation does not need is passed by a factor of 1.

    Stage 1 chooses the operands, 2..6 rescale to int16 (`scaled`), 7..10 look up and correct (`looked_up`), 11 chooses
    the gate's factor, 12..15 multiply by it, 16 adds or snaps, 17..20 rescale once more, 21 is the output.

    Parameters
    ----------
    value_bits : int
        Signed width of x, at least `FACTOR_BITS`.

    Members
    -------
    advance : In(1)
        The stages move.
    op : In(Op), multiplier : In, last_shift : In, fraction : In, threshold : In
        Of the command; held while its elements are under way. `last_shift` is of the second rescaling.
    first, x, u, row_factor : In
        Into stage 1: whether the row is read for the first time, element, its multiplier, factor of its row.
    addend, shift, maximum : In
        Of the row, with the element in stage 3, 4 and 6.
    square : In(1)
        With the element in stage 10: it is multiplied by itself.
    a, b : In(signed(16))
        y, u and v, with the element in the stage that uses them: see `TAPS`.
    scaled, looked_up, product : Out
        Elements in stage 6, 10 and 13, for the sums over a row.
    o : Out(signed(16))
        The result.

    Latency: 21 cycles. Throughput: an element a cycle.
    Numerics: docs/numerics.md; a factor of 1, or 2^12 with a shift of 12, is exact.
    """

    latency = 21
    #: Stages of `scaled`, `looked_up` and `product`.
    SCALED, LOOKED_UP, PRODUCT = 6, 10, 13
    #: Stage in which each operation uses a and b.
    TAPS = {Op.LAYERNORM: (10, 12), Op.NORMALISE: (16, 10), Op.RESIDUAL: (15, 10), Op.SNAP: (15, 10)}

    def __init__(self, value_bits: int) -> None:
        self._value_bits = value_bits
        super().__init__({
            "advance": In(1), "op": In(Op), "multiplier": In(MULTIPLIER_BITS), "last_shift": In(range(SHIFT_MAX + 1)),
            "fraction": In(range(BRANCH_FRACTION_MAX + 1)), "threshold": In(range(THRESHOLD_MAX + 1)), "first": In(1),
            "x": In(signed(value_bits)), "u": In(MULTIPLIER_BITS), "row_factor": In(signed(FACTOR_BITS)),
            "addend": In(signed(value_bits + 17)), "shift": In(range(SHIFT_MAX + 1)), "maximum": In(signed(16)),
            "square": In(1), "a": In(signed(16)), "b": In(signed(16)), "scaled": Out(signed(16)),
            "looked_up": Out(signed(16)), "product": Out(signed(33)), "o": Out(signed(16))})

    def elaborate(self, platform):
        m = Module()
        self._scale(m)
        h = self._look_up(m)
        gated = self._gate(m)
        self._finish(m, gated)
        m.d.comb += self.looked_up.eq(h)
        return m

    def _scale(self, m: Module) -> None:
        """Stages 1 to 6."""
        m.submodules.scale = scale = Rescale(self._value_bits, 17, 16)
        value, factor = Signal.like(scale.value), Signal.like(scale.factor)
        m.d.comb += [scale.advance.eq(self.advance), scale.value.eq(value), scale.factor.eq(factor),
                     scale.addend.eq(self.addend), scale.shift.eq(self.shift), self.scaled.eq(scale.o)]
        with m.If(self.advance):
            m.d.sync += [value.eq(self.x), factor.eq(1)]
            with m.Switch(self.op):
                with m.Case(Op.LAYERNORM):
                    with m.If(~self.first):     # (d * x - S1) * r = (d * r) * x - S1 * r
                        m.d.sync += [value.eq(self.row_factor), factor.eq(self.x[:16].as_signed())]
                with m.Case(Op.SOFTMAX):
                    m.d.sync += factor.eq(self.multiplier)
                with m.Case(Op.NORMALISE):
                    m.d.sync += factor.eq(self.row_factor[:16])
                with m.Case(Op.GELU, Op.RESIDUAL):
                    m.d.sync += factor.eq(self.u)

    def _look_up(self, m: Module) -> Signal:
        """Stages 7 to 10: GELU and softmax; returns the element."""
        m.submodules.table = table = TableUnit(exp2_table(), gelu_table())
        kept = [Signal(signed(16), name=f"kept_{stage}") for stage in (7, 8, 9)]
        halvings = [Signal(range(HALVINGS_MAX + 1), name=f"halvings_{stage}") for stage in (7, 8, 9)]
        magnitude, distance = Signal(16), Signal(16)
        x, looked_up = Signal(16), Signal(signed(16))
        below = distance[EXP2_INPUT_BITS:]
        m.d.comb += [magnitude.eq(Mux(self.scaled < 0, -self.scaled, self.scaled)),
                     distance.eq(self.maximum - self.scaled),
                     table.advance.eq(self.advance & among(self.op, (Op.SOFTMAX, Op.GELU))),
                     table.which.eq(self.op == Op.GELU), table.x.eq(x)]
        # t / 2^(8 + n), rounded half up: one bit more is kept for the half.
        t, halved = table.y, Signal(9)
        m.d.comb += halved.eq(t >> (EXP2_GUARD_BITS - 1) >> halvings[-1])
        with m.If(self.advance):
            m.d.sync += [kept[0].eq(self.scaled), halvings[0].eq(Mux(below > HALVINGS_MAX, HALVINGS_MAX, below))]
            m.d.sync += [after.eq(before) for chain in (kept, halvings) for before, after in zip(chain, chain[1:])]
            m.d.sync += looked_up.eq(kept[-1])
            with m.Switch(self.op):
                with m.Case(Op.SOFTMAX):
                    m.d.sync += [x.eq(distance[:EXP2_INPUT_BITS]), looked_up.eq((halved + 1) >> 1)]
                with m.Case(Op.GELU):
                    m.d.sync += [x.eq(Mux(magnitude[GELU_INPUT_BITS:].any(), (1 << GELU_INPUT_BITS) - 1, magnitude)),
                                 looked_up.eq(Mux(kept[-1] < 0, 0, kept[-1]) - t)]
        return looked_up

    def _gate(self, m: Module) -> Signal:
        """Stages 11 to 16: modulation, gate and residual, snapping; returns int16."""
        m.submodules.gate = gate = Rescale(16, 17, _GATED_BITS)
        value, factor, gated = Signal.like(gate.value), Signal.like(gate.factor), Signal(signed(16))
        apart = Signal(signed(9))       # of int8 values
        m.d.comb += [gate.advance.eq(self.advance), gate.value.eq(value), gate.factor.eq(factor),
                     gate.shift.eq(MODULATION_FRACTION_BITS + self.fraction), self.product.eq(gate.product),
                     gate.addend.eq(Mux(self.op == Op.LAYERNORM, self.b << NORM_FRACTION_BITS, 0)),
                     apart.eq(gate.o[:8].as_signed() - self.a[:8].as_signed())]
        with m.If(self.advance):
            m.d.sync += [value.eq(self.looked_up), factor.eq(_ONE), gated.eq(clamp(gate.o, 16))]
            with m.Switch(self.op):
                with m.Case(Op.LAYERNORM):
                    m.d.sync += factor.eq(Mux(self.square, self.looked_up, self.a + _ONE))
                with m.Case(Op.RESIDUAL):
                    m.d.sync += [factor.eq(self.b), gated.eq(clamp(gate.o + self.a, 16))]
                with m.Case(Op.SNAP):
                    with m.If(Mux(apart < 0, -apart, apart) <= self.threshold):
                        m.d.sync += gated.eq(self.a)
        return gated

    def _finish(self, m: Module, gated: Signal) -> None:
        """Stages 17 to 21."""
        m.submodules.finish = finish = Rescale(16, 1 + MULTIPLIER_BITS, 16)
        m.d.comb += [finish.advance.eq(self.advance), finish.value.eq(gated), finish.factor.eq(1),
                     finish.shift.eq(self.last_shift)]
        with m.Switch(self.op):
            with m.Case(Op.REQUANTISE16, Op.LAYERNORM, Op.GELU):
                m.d.comb += finish.factor.eq(self.multiplier)
            with m.Case(Op.NORMALISE):
                m.d.comb += finish.factor.eq(self.a[:MULTIPLIER_BITS])
        with m.If(self.advance):
            m.d.sync += self.o.eq(Mux(self.op == Op.RESIDUAL, finish.o, clamp(finish.o, 8)))
