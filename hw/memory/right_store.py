# SPDX-License-Identifier: Apache-2.0
"""Right store: two slots of rows k, banked so that the lanes of a PEG read without a crossbar."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.payloads import k_shape, right_layout, word_shape


class RightStore(Component):
    """Double-buffered right operand of a PEG (one of ViDA's memory elements).

    Row k lies in bank k mod residues, at word k / residues; every bank gives one row a cycle.

    Parameters
    ----------
    config : MachineConfig
        Uses residues, right_rows, columns.

    Members
    -------
    right : In(stream of right rows)
        Rows 0, 1, ... of a slot, `last` with the final one; slots fill alternately, 0 first.
    full : Out(2), free : In(2)
        Slots that may be read; slots to give back for filling.
    advance : In(1)
        The outputs take the rows that are asked for now.
    slot : In(1), k : In(array of residues x word)
        Slot, and word of each bank.
    row : Out(array of residues x columns)
        int8 rows, one of each bank.

    Latency: 1 cycle. Throughput: a row of every bank read, a row written a cycle.
    Contents are never assumed: only rows written since `full` rose are read.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        row = data.ArrayLayout(signed(8), config.columns)
        super().__init__({
            "right": In(stream.Signature(right_layout(config))), "full": Out(2), "free": In(2),
            "advance": In(1), "slot": In(1), "k": In(data.ArrayLayout(word_shape(config), config.residues)),
            "row": Out(data.ArrayLayout(row, config.residues))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        filling, row = Signal(), Signal(k_shape(config))
        write = Signal()
        m.d.comb += [self.right.ready.eq(~self.full.bit_select(filling, 1)),
                     write.eq(self.right.valid & self.right.ready)]
        for slot in range(2):
            with m.If(write & self.right.p.last & (filling == slot)):
                m.d.sync += self.full[slot].eq(1)
            with m.Elif(self.free[slot]):
                m.d.sync += self.full[slot].eq(0)
        with m.If(write):
            m.d.sync += row.eq(Mux(self.right.p.last, 0, row + 1))
            with m.If(self.right.p.last):
                m.d.sync += filling.eq(~filling)

        below = exact_log2(config.residues)
        for bank in range(config.residues):
            words = 2 << len(row[below:])
            m.submodules[f"bank_{bank}"] = memory = Memory(shape=8 * config.columns, depth=words, init=[])
            port_in, port_out = memory.write_port(), memory.read_port()
            m.d.comb += [port_in.en.eq(write & (row[:below] == bank)), port_in.data.eq(self.right.p.value),
                         port_in.addr.eq(Cat(row[below:], filling)), port_out.en.eq(self.advance),
                         port_out.addr.eq(Cat(self.k[bank], self.slot)), self.row[bank].eq(port_out.data)]
        return m
