# SPDX-License-Identifier: Apache-2.0
"""Allocation unit: segments to the dense or the sparse lane, one tile after the other without a gap."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data

from hw.config import TILE, MachineConfig
from hw.numerics import lowest
from hw.payloads import k_shape, slot_layout
from hw.route.issue import IssueUnit
from hw.route.pool import Pool


def signed_digit(slot, row: int):
    """A slot's digit as -15..15: converted here, where all columns still share it."""
    magnitude = slot.magnitude[row]
    return Mux(slot.sign[row], -magnitude, magnitude)


class AllocationUnit(IssueUnit):
    """Feed both lanes from the pools, `depth` dense segments and one non-zero a cycle.

    Segments of the next tile may wait beside those of the tile being issued (a parity bit tells them apart), so a
    tile's last op and the next tile's first one follow each other. Both lanes change tile together. A sparse
    segment stays in its register while its non-zeros are issued, row 0 first.

    Parameters and members: see `IssueUnit`; `left` carries segments.

    Latency: 2 cycles from an accepted beat to its first op. Throughput: depth dense segments and one sparse
    non-zero a cycle. Numerics: digits become -15..15; none is lost or doubled.
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        super().__init__(config)
        self._sparse_layout = data.StructLayout({
            "remaining": TILE, "fresh": 1, "k": k_shape(config), "plane": 1, "sign": TILE,
            "magnitude": data.ArrayLayout(4, TILE)})

    def elaborate(self, platform):
        m = Module()
        config, op = self._config, self.op
        pools = [Pool(config) for _ in range(config.depth)]
        for j, pool in enumerate(pools):
            m.submodules[f"pool_{j}"] = pool
        dense = Signal(data.ArrayLayout(slot_layout(config), config.depth))   # this cycle's dense issue
        sparse = Signal(self._sparse_layout)                                  # the segment in the sparse lane
        parity, started = Signal(), Signal()
        ends = Signal(range(3))           # panels wholly received but not wholly issued
        closing = Signal()

        self._accept(m, pools, parity, ends, closing)
        idle = ~Cat(pool.waiting.bit_select(parity, 1) for pool in pools).any()
        final = ~(sparse.remaining & (sparse.remaining - 1)).any()
        busy = Cat(slot.valid for slot in dense).any() | sparse.remaining.any()
        m.d.comb += [closing.eq((ends != 0) & idle & final & self.go), op.valid.eq(busy | closing),
                     op.first.eq(~started), op.last.eq(closing), op.slot.eq(self.slot)]
        with m.If(self.advance & op.valid):
            m.d.sync += [started.eq(~closing), parity.eq(parity ^ closing)]

        self._dense(m, pools, dense)
        for pool in pools:
            m.d.comb += [pool.enable.eq(Mux(closing, self.go_next, self.go)), pool.parity.eq(parity ^ closing),
                         pool.ended.eq(ends > closing),
                         pool.threshold.eq(Mux(closing, self.threshold_next, self.threshold)),
                         pool.take_dense.eq(self.advance)]
        if config.sparse_lanes:
            self._sparse(m, pools, sparse, final)
        return m

    def _accept(self, m: Module, pools, parity, ends, closing) -> None:
        """Beats of this tile or the next one go into the pools while every pool has room for a whole beat."""
        per_pool = self._config.slots // self._config.depth
        accept, end, close = Signal(), Signal(), Signal()
        m.d.comb += [self.left.ready.eq((ends != 2) & Cat(pool.ready for pool in pools).all()),
                     accept.eq(self.left.valid & self.left.ready), end.eq(accept & self.left.p.last),
                     close.eq(closing & self.advance)]
        m.d.sync += ends.eq(ends + end - close)
        for j, pool in enumerate(pools):
            m.d.comb += [pool.write.eq(accept), pool.write_parity.eq(parity ^ ends[0])]
            m.d.comb += [pool.incoming[i].eq(self.left.p.slot[j * per_pool + i]) for i in range(per_pool)]

    def _dense(self, m: Module, pools, dense) -> None:
        for j, pool in enumerate(pools):
            out = self.op.dense[j]
            with m.If(self.advance):
                m.d.sync += dense[j].eq(Mux(pool.dense_valid, pool.dense.as_value(), 0))
            m.d.comb += [out.valid.eq(dense[j].valid), out.k.eq(dense[j].k), out.plane.eq(dense[j].plane)]
            m.d.comb += [out.left[r].eq(signed_digit(dense[j], r)) for r in range(TILE)]

    def _sparse(self, m: Module, pools, sparse, final) -> None:
        """Issue the lowest remaining non-zero; with the last one take the thinnest offer of all pools."""
        out = self.op.sparse
        now = Signal(TILE)
        m.d.comb += [now.eq(lowest(sparse.remaining)), out.valid.eq(now.any()), out.fresh.eq(sparse.fresh),
                     out.k.eq(sparse.k), out.plane.eq(sparse.plane)]
        for r in range(TILE):
            with m.If(now[r]):
                m.d.comb += [out.row.eq(r), out.left.eq(signed_digit(sparse, r))]

        best = Signal(range(max(len(pools), 2)))
        fewest = Signal(range(TILE + 2))
        m.d.comb += fewest.eq(TILE + 1)
        for j, pool in reversed(list(enumerate(pools))):      # written last wins: lowest residue among equals
            smaller = Cat(~p.sparse_valid | (pool.sparse_nonzeros <= p.sparse_nonzeros) for p in pools).all()
            with m.If(pool.sparse_valid & smaller):
                m.d.comb += [best.eq(j), fewest.eq(pool.sparse_nonzeros)]
        taken = Signal(slot_layout(self._config))
        for j, pool in enumerate(pools):
            mine = pool.sparse_valid & (best == j)
            m.d.comb += pool.take_sparse.eq(self.advance & final & mine)
            with m.If(mine):
                m.d.comb += taken.eq(pool.sparse)
        with m.If(self.advance):
            m.d.sync += [sparse.fresh.eq(0), sparse.remaining.eq(sparse.remaining & ~now)]
            with m.If(final):
                m.d.sync += [sparse.fresh.eq(taken.valid), sparse.k.eq(taken.k), sparse.plane.eq(taken.plane),
                             sparse.sign.eq(taken.sign), sparse.magnitude.eq(taken.magnitude),
                             sparse.remaining.eq(Cat(taken.magnitude[r].any() for r in range(TILE)))]
