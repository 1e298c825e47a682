# SPDX-License-Identifier: Apache-2.0
"""The multipliers of an element: one 4-bit digit by 8 bits (shift-add), or a native 8x8."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, signed
from amaranth.lib.wiring import Component, In, Out


class DigitMultiplier(Component):
    """Multiply a signed 4-bit digit by an int8 value and shift the product to the digit's plane (Ditto, section IV).

    An 8-bit left operand passes as two digits, one after the other; the high one (plane 1) weighs 16. The digit
    arrives as -15..15, already converted from sign and magnitude where it is still shared by all columns.

    Members
    -------
    left : In(signed(5))
        Digit, -15..15.
    plane : In(1)
        1: the high digit, product shifted left by four.
    right : In(signed(8))
        Right operand.
    product : Out(signed(16))
        left * right * 16^plane; at most 15*128*16 = 30720 in magnitude, so exact.

    Latency: 0 cycles (combinational). Throughput: one product a cycle. Numerics: exact.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"left": In(signed(5)), "plane": In(1), "right": In(signed(8)), "product": Out(signed(16))})

    def elaborate(self, platform):
        m = Module()
        low = (self.left * self.right)[:12].as_signed()
        m.d.comb += self.product.eq(Mux(self.plane, low << 4, low))
        return m


class NativeMultiplier(Component):
    """Multiply two int8 values: the element of the baseline `dense8`.

    Members
    -------
    left, right : In(signed(8))
        Operands.
    plane : In(1)
        Not used; there so that an element can hold either multiplier.
    product : Out(signed(16))
        left * right.

    Latency: 0 cycles (combinational). Throughput: one product a cycle. Numerics: exact.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"left": In(signed(8)), "plane": In(1), "right": In(signed(8)), "product": Out(signed(16))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.product.eq(self.left * self.right)
        return m
