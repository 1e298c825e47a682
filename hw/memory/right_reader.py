# SPDX-License-Identifier: Apache-2.0
"""Right reader: the rows of the banks to the lanes that asked for them."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import MachineConfig


class RightReader(Component):
    """Give each lane its right row, where elements do not choose for themselves (every policy but `merge`).

    Slot j of the dense lane reads bank j, or with a sparse lane beside it one of banks j and j + depth, and leaves
    the other to the sparse lane. The sparse lane's row is held for the rest of its segment.

    Parameters
    ----------
    config : MachineConfig
        Uses depth, residues, dense_depth, sparse_lanes, columns.

    Members
    -------
    row : In(array of residues x columns)
        From the right store.
    upper : In(dense_depth)
        Slot j's row is that of bank j + depth.
    bank : In(residues), fresh : In(1), advance : In(1)
        The sparse lane's bank, one-hot; in the first cycle of a segment; the held row is renewed.
    dense : Out(array of dense_depth x columns), sparse : Out(array of columns)
        int8 rows.

    Members exist where the configuration uses them. Latency: 0 cycles. Throughput: the lanes' rows in every cycle.
    """

    latency = 0

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        row = data.ArrayLayout(signed(8), config.columns)
        members = {"row": In(data.ArrayLayout(row, config.residues))}
        if config.dense_depth:
            members |= {"upper": In(config.dense_depth), "dense": Out(data.ArrayLayout(row, config.dense_depth))}
        if config.sparse_lanes:
            members |= {"bank": In(config.residues), "fresh": In(1), "advance": In(1), "sparse": Out(row)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        for j in range(config.dense_depth):
            row = self.row[j].as_value()
            if config.residues > config.depth:
                row = Mux(self.upper[j], self.row[j + config.depth].as_value(), row)
            m.d.comb += self.dense[j].eq(row)
        if config.sparse_lanes:
            held = Signal.like(self.sparse)
            late = reduce(or_, (Mux(self.bank[n], self.row[n].as_value(), 0) for n in range(config.residues)))
            m.d.comb += self.sparse.eq(Mux(self.fresh, late, held))
            with m.If(self.advance):
                m.d.sync += held.eq(self.sparse)
        return m
