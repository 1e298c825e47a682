# SPDX-License-Identifier: Apache-2.0
"""Multiply, round, saturate: what nearly every operation of the vector unit is made of."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from hw.numerics import SHIFT_MAX

#: Bits of the factor in one part product: what a cycle has time for.
PART_BITS = 6
#: Bits of a shift's amount that are left for the cycle that rounds.
FINE_BITS = 3


class Product(Component):
    """value * factor + addend: part products, their sum, and for wide values the addend in a step of its own.

    Parameters
    ----------
    value_bits, factor_bits : int
        Signed widths; all else has their sum, into which value * factor + addend must fit.

    Members
    -------
    advance : In(1)
        The stages move.
    value, factor : In(signed)
        Operands.
    addend : In(signed)
        Taken with the last step, `latency` - 1 steps after its operands.
    product : Out(signed)
        value * factor + addend.

    Latency: 2 cycles, 3 for values of more than 16 bits. Throughput: a product a cycle.
    """

    def __init__(self, value_bits: int, factor_bits: int) -> None:
        self._value_bits, self._factor_bits = value_bits, factor_bits
        self.latency = 2 if value_bits <= 16 else 3
        width = value_bits + factor_bits
        super().__init__({"advance": In(1), "value": In(signed(value_bits)), "factor": In(signed(factor_bits)),
                          "addend": In(signed(width)), "product": Out(signed(width))})

    def elaborate(self, platform):
        m = Module()
        total = Const(0)
        for low in range(0, self._factor_bits, PART_BITS):
            digit = self.factor[low:low + PART_BITS]
            if low + PART_BITS >= self._factor_bits:
                digit = digit.as_signed()
            part = Signal(signed(self._value_bits + len(digit)), name=f"part_{low // PART_BITS}")
            with m.If(self.advance):
                m.d.sync += part.eq(self.value * digit)
            total = total + (part << low)
        if self.latency == 3:
            whole = Signal.like(self.product)
            with m.If(self.advance):
                m.d.sync += [whole.eq(total), self.product.eq(_select_carry(whole, self.addend))]
        else:
            with m.If(self.advance):
                m.d.sync += self.product.eq(total + self.addend)
        return m


def _select_carry(x: Value, y: Value) -> Value:
    """x + y of one width: both upper halves are there when the lower half's carry comes."""
    half = len(x) // 2
    low = x[:half] + y[:half]
    high = x[half:] + y[half:]
    return Cat(low[:half], Mux(low[half], high + 1, high)[:len(x) - half])


class Rescale(Component):
    """saturate(round_shift(value * factor + addend, shift), bits), each operand at run time.

    Parameters
    ----------
    value_bits, factor_bits : int
        Signed widths.
    bits : int
        Signed width of the result.

    Members
    -------
    advance : In(1)
        The stages move.
    value, factor : In(signed)
        Operands.
    addend : In(signed)
        As `Product` takes it.
    shift : In(0..SHIFT_MAX)
        Taken with the product, two steps before the result.
    product : Out(signed)
        value * factor + addend.
    o : Out(signed(bits))
        The result.

    Latency: that of `Product` and 2 cycles. Throughput: a value a cycle.
    Numerics: product and sum are exact; `hw.numerics.round_shift`, then `saturate`.
    """

    def __init__(self, value_bits: int, factor_bits: int, bits: int) -> None:
        self._bits, self._product = bits, Product(value_bits, factor_bits)
        self.latency = self._product.latency + 2
        width = value_bits + factor_bits
        super().__init__({"advance": In(1), "value": In(signed(value_bits)), "factor": In(signed(factor_bits)),
                          "addend": In(signed(width)), "shift": In(range(SHIFT_MAX + 1)),
                          "product": Out(signed(width)), "o": Out(signed(bits))})

    def elaborate(self, platform):
        m = Module()
        bits = self._bits
        m.submodules.multiply = product = self._product
        m.d.comb += [product.advance.eq(self.advance), product.value.eq(self.value), product.factor.eq(self.factor),
                     product.addend.eq(self.addend), self.product.eq(product.product)]
        # round_shift(x, s) = ((2x >> s) + 1) >> 1. The shift goes in two steps; what its first one leaves is limited to
        # a range beyond which the result saturates, whatever the second one is.
        coarse, fine = Signal(signed(len(self.product) + 1)), Signal(FINE_BITS)
        kept = bits + 1 + (1 << FINE_BITS)
        limited, doubled, rounded = Signal(signed(kept)), Signal(signed(kept)), Signal(signed(kept))
        fits = (coarse[kept - 1:] == 0) | coarse[kept - 1:].all()
        m.d.comb += [coarse.eq((self.product << 1) >> (self.shift[FINE_BITS:] << FINE_BITS)),
                     doubled.eq(limited >> fine), rounded.eq((doubled + 1) >> 1)]
        with m.If(self.advance):
            m.d.sync += [limited.eq(Mux(fits, coarse, Mux(coarse[-1], -1 << kept - 1, (1 << kept - 1) - 1))),
                         fine.eq(self.shift[:FINE_BITS]), self.o.eq(clamp(rounded, bits))]
        return m


def clamp(x, bits: int):
    """`hw.numerics.saturate` of an Amaranth value."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return Mux(x > high, high, Mux(x < low, low, x))
