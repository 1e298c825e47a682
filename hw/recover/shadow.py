# SPDX-License-Identifier: Apache-2.0
"""Shadow set: a second block of accumulators that drains behind the next tile."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, MachineConfig
from hw.payloads import Shift


class Shadow(Component):
    """Hold a finished block while it is shifted out, then the next init while it is shifted in.

    Parameters
    ----------
    config : MachineConfig
        Uses acc_bits.

    Members
    -------
    merged : In(array of 4 x 4 x signed(acc_bits)), capture : In(1)
        Take the whole block; wins over shift.
    shift : In(Shift), init : In(array of 4 x signed(acc_bits))
        Rows up or columns left by one; `init` enters at the far end.
    stored : Out(array of 4 x 4 x signed(acc_bits))
        The block; row 0 leaves.

    Latency: 1 cycle. Throughput: a block captured or a row moved a cycle. Numerics: values pass unchanged.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        row = data.ArrayLayout(signed(config.acc_bits), TILE)
        block = data.ArrayLayout(row, TILE)
        super().__init__({"merged": In(block), "capture": In(1), "shift": In(Shift), "init": In(row),
                          "stored": Out(block)})

    def elaborate(self, platform):
        m = Module()
        stored, moves = self.stored, ~self.capture
        rows, columns, stays = Signal(), Signal(), Signal()
        m.d.comb += [rows.eq(moves & (self.shift == Shift.ROWS)), columns.eq(moves & (self.shift == Shift.COLUMNS)),
                     stays.eq(moves & (self.shift == Shift.NONE))]
        for r in range(TILE):
            for c in range(TILE):
                # One-hot selection: a fifth less area than a chain of priorities.
                sources = ((self.capture, self.merged[r][c]), (stays, stored[r][c]),
                           (rows, stored[r + 1][c] if r + 1 < TILE else self.init[c]),
                           (columns, stored[r][c + 1] if c + 1 < TILE else self.init[r]))
                m.d.sync += stored[r][c].eq(reduce(or_, (Mux(select, value, 0) for select, value in sources)))
        return m
