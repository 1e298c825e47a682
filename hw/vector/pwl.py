# SPDX-License-Identifier: Apache-2.0
"""The piecewise-linear table unit: one multiplier and 64 rows a function behind exp2, GELU and the reciprocals."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed, unsigned
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

from hw.vector.tables import BASE_BITS, INPUT_BITS_MAX, OUTPUT_BITS, SEGMENT_BITS, SLOPE_BITS, Table

#: Widest remainder that is multiplied in one step.
_ONE_STEP_BITS = 7


class TableUnit(Component):
    """Evaluate one of some functions by a line in each of 64 segments.

    The contents are constants; the functions share the multiplier, and their rows one block of logic.

    Parameters
    ----------
    tables : Table
        The functions, at least one.

    Members
    -------
    advance : In(1)
        The stages move.
    which : In
        Index of the function; held while inputs of it are under way.
    x : In(unsigned(16))
        Its input, of as many bits as its table says; bits above are 0.
    y : Out(unsigned(16))
        `round_shift(base + slope * remainder, shift)`.

    Latency: 2 cycles, 3 where a remainder has more than 7 bits. Throughput: an input a cycle.
    Numerics: product 23 bits signed, sum 30; the rounding's half is part of the base held here.
    """

    def __init__(self, *tables: Table) -> None:
        self._tables = tables
        self._wide = max(table.remainder_bits for table in tables) > _ONE_STEP_BITS
        self.latency = 3 if self._wide else 2
        super().__init__({"advance": In(1), "which": In(ceil_log2(len(tables))), "x": In(unsigned(INPUT_BITS_MAX)),
                          "y": Out(unsigned(OUTPUT_BITS))})

    def elaborate(self, platform):
        m = Module()
        row, remainder = Signal(SEGMENT_BITS), Signal(INPUT_BITS_MAX - SEGMENT_BITS)
        base, slope = Signal(BASE_BITS), Signal(signed(SLOPE_BITS))
        rest, total = Signal.like(remainder), Signal(BASE_BITS)
        with m.Switch(self.which):
            for n, table in enumerate(self._tables):
                with m.Case(n):
                    m.d.comb += [Cat(remainder[:table.remainder_bits], row).eq(self.x),
                                 self.y.eq(total >> table.shift)]
                    half = 1 << table.shift - 1
                    with m.If(self.advance):
                        m.d.sync += [base.eq(_read([half + word for word in table.bases], BASE_BITS, row)),
                                     slope.eq(_read(table.slopes, SLOPE_BITS, row))]
        with m.If(self.advance):
            m.d.sync += rest.eq(remainder)
            if self._wide:      # two part products, then their sum
                cut = len(rest) // 2
                low, high = Signal(signed(BASE_BITS + 1)), Signal(signed(SLOPE_BITS + len(rest) - cut))
                m.d.sync += [low.eq(base + slope * rest[:cut]), high.eq(slope * rest[cut:]),
                             total.eq(low + (high << cut))]
            else:
                m.d.sync += total.eq(base + slope * rest)
        return m


def _read(words: Sequence[int], width: int, address: Value) -> Value:
    """Word `address` of constants, a column of all words for each bit: logic, in any synthesis."""
    columns = (sum((word >> bit & 1) << n for n, word in enumerate(words)) for bit in range(width))
    return Cat(Const(column, len(words)).bit_select(address, 1) for column in columns)
