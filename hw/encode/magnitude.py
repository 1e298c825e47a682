# SPDX-License-Identifier: Apache-2.0
"""Magnitude lane: the difference of two int8 values as sign and magnitude."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, signed, unsigned
from amaranth.lib.wiring import Component, In, Out


class Magnitude(Component):
    """Subtract two int8 values and give the result as sign and 8-bit magnitude.

    One lane of the SAD encoding unit, whose summand is the magnitude.

    Members
    -------
    current, reference : In(signed(8))
        Operand and what it is compared with.
    sign : Out(1)
        1 where current < reference; 0 for an equal pair, so that zero has one form.
    magnitude : Out(unsigned(8))
        |current - reference|, 0..255.

    Latency: 0 cycles (combinational). Throughput: one difference a cycle. Numerics: exact.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"current": In(signed(8)), "reference": In(signed(8)),
                          "sign": Out(1), "magnitude": Out(unsigned(8))})

    def elaborate(self, platform):
        m = Module()
        difference = self.current - self.reference
        m.d.comb += [self.sign.eq(difference[8]),
                     self.magnitude.eq(Mux(self.sign, -difference, difference))]
        return m
