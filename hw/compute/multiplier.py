# SPDX-License-Identifier: Apache-2.0
"""The multiplier of an element: a radix-16 digit by 8 bits (shift-add), or with more partial products a native 8x8."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.payloads import Booth


def recode(window: Value) -> Value:
    """Radix-4 Booth digits of a number of an even count of bits, given with the bit that carries into it below them.

    Each digit is -2 x high + middle + low of three neighbouring bits; a `Booth` each, lowest first.
    """
    digits = []
    for i in range(0, len(window) - 1, 2):
        low, middle, high = window[i], window[i + 1], window[i + 2]
        one, two = low ^ middle, (high & ~middle & ~low) | (~high & middle & low)
        digits += [high, one, two]
    return Cat(digits)


def in_plane(product: Value, plane: Value) -> Value:
    """A digit's product, or a sum of such, at the weight of its plane: the high one (1) weighs 16."""
    return Mux(plane, product << 4, product)


class Multiplier(Component):
    """Multiply a left factor in radix 4 by a signed value: the sum of one partial product a digit.

    Two digits make a radix-16 digit of -8..8 (the 4-bit multiplier of Ditto, section IV: two of them, or one used
    twice, make the 8-bit one), four an int8 value. The factor is recoded before it, once for all columns.

    Parameters
    ----------
    digits : int
        Radix-4 digits of the left factor.
    width : int
        Bits of the right operand.

    Members
    -------
    left : In(array of digits x Booth)
        Left factor; all zero for none.
    right : In(signed(width))
        Right operand.
    product : Out(signed(width + 2 * digits))
        left * right; exact while |left| <= 2^(2 * digits - 1).

    Latency: 0 cycles (combinational). Throughput: one product a cycle. Numerics: exact.
    """

    latency = 0

    def __init__(self, digits: int, width: int = 8) -> None:
        self._digits, self._width = digits, width
        super().__init__({"left": In(data.ArrayLayout(Booth, digits)), "right": In(signed(width)),
                          "product": Out(signed(width + 2 * digits))})

    def elaborate(self, platform):
        m = Module()
        terms, constant, borrowed, width = [], 0, None, self._width
        for i in range(self._digits):
            digit = self.left[i]
            multiple = Signal(signed(width + 1), name=f"multiple_{i}")
            m.d.comb += multiple.eq((Mux(digit.one, self.right, 0) | Mux(digit.two, self.right << 1, 0))
                                    ^ digit.negative.replicate(width + 1))
            # No sign extension: the inverted sign counts as a positive bit, and a constant puts that right. The +1
            # of a negative multiple stands in the places that are free below the next one.
            positive = Cat(multiple[:width], ~multiple[width])
            terms.append(positive if borrowed is None else Cat(borrowed, C(0, 1), positive) << (2 * i - 2))
            constant -= 1 << (width + 2 * i)
            borrowed = digit.negative
        terms.append(borrowed << (2 * self._digits - 2))
        m.d.comb += self.product.eq(sum(terms) + constant)
        return m
