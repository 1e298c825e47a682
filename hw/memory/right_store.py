# SPDX-License-Identifier: Apache-2.0
"""Right store: two slots of rows k, banked so that the lanes of a PEG read without a crossbar."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.payloads import k_shape, right_layout


class RightStore(Component):
    """Double-buffered right operand of a PEG (one of ViDA's memory elements).

    Row k lies in bank k mod residues. Slot j of the dense lane reads only the banks whose number is j modulo depth:
    one, or with a sparse lane two, of which it reads one in a cycle and leaves the other to the sparse lane; the
    allocation sees to it that they never ask for the same bank. The sparse lane's row is held for the rest of its
    segment.

    Parameters
    ----------
    config : MachineConfig
        Uses depth, residues, sparse_lanes, right_rows, columns.

    Members
    -------
    right : In(stream of right rows)
        Rows 0, 1, ... of a slot, `last` with the final one; slots fill alternately, 0 first.
    full : Out(2), free : In(2)
        Slots that may be read; slots to give back for filling.
    advance : In(1)
        The outputs take the rows that are asked for now.
    slot : In(1), dense_k : In(array of depth), sparse_k : In, sparse_fresh : In(1)
        Slot and rows asked for; `sparse_fresh` marks a segment's first cycle.
    dense : Out(array of depth x columns), sparse : Out(array of columns)
        int8 rows.

    Latency: 1 cycle. Throughput: depth dense rows and a sparse row a cycle, a row written a cycle.
    Contents are never assumed: only rows written since `full` rose are read.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        row = data.ArrayLayout(signed(8), config.columns)
        k = k_shape(config)
        super().__init__({
            "right": In(stream.Signature(right_layout(config))), "full": Out(2), "free": In(2),
            "advance": In(1), "slot": In(1), "dense_k": In(data.ArrayLayout(k, config.depth)),
            "sparse_k": In(k), "sparse_fresh": In(1),
            "dense": Out(data.ArrayLayout(row, config.depth)), "sparse": Out(row)})

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

        reads = [self._bank(m, bank, write, row, filling) for bank in range(config.residues)]
        for j in range(config.depth):
            banks = range(j, config.residues, config.depth)
            m.d.comb += self.dense[j].eq(self._late(m, f"dense_{j}", self.dense_k[j], reads, banks))
        if config.sparse_lanes:
            fresh, held = Signal(), Signal.like(self.sparse)
            late = self._late(m, "sparse", self.sparse_k, reads, range(len(reads)))
            m.d.comb += self.sparse.eq(Mux(fresh, late, held))
            with m.If(self.advance):
                m.d.sync += [fresh.eq(self.sparse_fresh), held.eq(self.sparse)]
        return m

    def _late(self, m: Module, name: str, k, reads, banks: range):
        """The row, from one of `banks`, for the k that was asked for in the cycle before."""
        if len(banks) == 1:
            return reads[banks[0]]
        asked = Signal(len(reads), name=f"{name}_bank")
        with m.If(self.advance):
            m.d.sync += asked.eq(1 << self._residue(k))
        return reduce(or_, (Mux(asked[bank], reads[bank], 0) for bank in banks))

    def _residue(self, k):
        return k[:exact_log2(self._config.residues)]

    def _bank(self, m: Module, bank: int, write, row, filling):
        """One memory with a write and a read port; the word address is slot and k / residues."""
        config = self._config
        below = exact_log2(config.residues)
        memory = Memory(shape=8 * config.columns, depth=2 << len(row[below:]), init=[])
        m.submodules[f"bank_{bank}"] = memory
        port_in, port_out = memory.write_port(), memory.read_port()
        wanted = Signal.like(row, name=f"wanted_{bank}")
        m.d.comb += [wanted.eq(self.dense_k[bank % config.depth]),
                     port_in.en.eq(write & (self._residue(row) == bank)), port_in.data.eq(self.right.p.value),
                     port_in.addr.eq(Cat(row[below:], filling)),
                     port_out.en.eq(self.advance), port_out.addr.eq(Cat(wanted[below:], self.slot))]
        if config.sparse_lanes:
            with m.If(self.sparse_fresh & (self._residue(self.sparse_k) == bank)):
                m.d.comb += wanted.eq(self.sparse_k)
        return port_out.data
