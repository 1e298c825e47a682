# SPDX-License-Identifier: Apache-2.0
"""Right store: two slots of rows k, banked so that the lanes of a PEG read without a crossbar."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.payloads import k_shape, right_layout


class RightStore(Component):
    """Double-buffered right operand of a PEG (one of ViDA's memory elements).

    Row k lies in bank k mod depth, so slot j of the dense lane reads only bank j. With a sparse lane a bank has two
    halves (k / depth even or odd) with a read port each: the sparse lane reads the half that the dense lane leaves
    alone; the allocation sees to it that they never ask for the same one. The sparse lane's row is held for the
    rest of its segment.

    Parameters
    ----------
    config : MachineConfig
        Uses depth, sparse_lanes, right_rows, columns.

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
        self.halves = 2 if config.sparse_lanes else 1
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
        bits = exact_log2(config.depth)
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

        sparse_half, sparse_row = Signal(), Signal.like(self.sparse)
        sparse_bank = Signal(max(bits, 1))
        fresh, held = Signal(), Signal.like(self.sparse)
        with m.If(self.advance):
            m.d.sync += [sparse_half.eq(self.sparse_k >> bits), sparse_bank.eq(self.sparse_k[:bits]),
                         fresh.eq(self.sparse_fresh), held.eq(self.sparse)]
        for j in range(config.depth):
            reads = [self._bank(m, j, half, write & (row[:bits] == j), row, filling) for half in range(self.halves)]
            if self.halves == 1:
                m.d.comb += self.dense[j].eq(reads[0])
                continue
            dense_half = Signal(name=f"dense_half_{j}")
            with m.If(self.advance):
                m.d.sync += dense_half.eq(self.dense_k[j] >> bits)
            m.d.comb += self.dense[j].eq(Mux(dense_half, reads[1], reads[0]))
            with m.If(sparse_bank == j):
                m.d.comb += sparse_row.eq(Mux(sparse_half, reads[1], reads[0]))
        if self.halves == 2:
            m.d.comb += self.sparse.eq(Mux(fresh, sparse_row, held))
        return m

    def _bank(self, m: Module, j: int, half: int, write, row, filling):
        """One memory with a write and a read port; the word address is slot and k / (depth * halves)."""
        config = self._config
        bits = exact_log2(config.depth)
        below = bits + self.halves - 1

        def word(slot, k):
            return Cat(k[below:], slot)

        memory = Memory(shape=8 * config.columns, depth=2 << len(row[below:]), init=[])
        m.submodules[f"bank_{j}_{half}"] = memory
        port_in, port_out = memory.write_port(), memory.read_port()
        wanted = Signal.like(row, name=f"wanted_{j}_{half}")
        m.d.comb += wanted.eq(self.dense_k[j])
        if self.halves == 2:
            with m.If(self.sparse_fresh & (self.sparse_k[:bits] == j) & (self.sparse_k[bits] == half)):
                m.d.comb += wanted.eq(self.sparse_k)
        m.d.comb += [port_in.en.eq(write & (row[bits] == half) if self.halves == 2 else write),
                     port_in.addr.eq(word(filling, row)), port_in.data.eq(self.right.p.value),
                     port_out.en.eq(self.advance),
                     port_out.addr.eq(word(self.slot, wanted))]
        return port_out.data
