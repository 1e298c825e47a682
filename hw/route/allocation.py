# SPDX-License-Identifier: Apache-2.0
"""Allocation unit: segments to the dense or the sparse lane, one tile after the other without a gap."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.utils import exact_log2

from hw.compute.multiplier import recode
from hw.config import TILE, Allocation, MachineConfig
from hw.numerics import lowest
from hw.payloads import slot_layout
from hw.route.issue import SegmentIssue
from hw.route.pool import Count, Pool


class AllocationUnit(SegmentIssue):
    """Feed both lanes from the pools, `depth` dense segments and one sparse digit a cycle.

    Dense slot j chooses between the offers of the one or two pools of its residue (most digits, then the lower
    pool); the sparse lane takes the thinnest offer of a pool that the dense lane leaves alone, so the lanes read
    different banks of the right store. `balance`: after a panel's last beat the sparse lane takes only a segment
    that it finishes before the dense lane would have finished what waits of that slot.

    Segments of the next tile may wait beside those of the tile being issued (a parity bit tells them apart), so a
    tile's last op and the next tile's first one follow each other. Both lanes change tile together. A sparse
    segment's digits are issued row 0 first.

    Parameters and members: see `IssueUnit`; `left` carries segments, accepted once their tile's job is here.

    Latency: 2 cycles from an accepted beat to its first op. Throughput: depth dense segments and one sparse
    digit a cycle. Numerics: digits are recoded to radix 4; none is lost or doubled.
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        super().__init__(config)
        self._final = Signal(init=1)      # the sparse lane ends its segment, or has none

    def elaborate(self, platform):
        m = Module()
        config, op = self._config, self.op
        pools = [Pool(config) for _ in range(config.residues)]
        parity, started, closing = Signal(), Signal(), Signal()
        ends = Signal(range(3))                         # panels wholly received but not wholly issued
        for n, pool in enumerate(pools):
            m.submodules[f"pool_{n}"] = pool
            m.d.comb += [pool.parity.eq(parity), pool.advance.eq(self.advance), pool.sparse_done.eq(self._final)]
            m.d.comb += pool.threshold.eq(Mux(ends == 0, self.threshold, self.threshold_next))
        self._accept(m, pools, parity, ends, closing)

        busy = Cat(Cat(pool.dense.valid, pool.sparse.valid) for pool in pools).any()
        self._address(m, pools)
        m.d.comb += [closing.eq((ends != 0) & Cat(pool.next for pool in pools).all() & self._final & self.go),
                     op.valid.eq(busy | closing), op.first.eq(~started), op.last.eq(closing), op.slot.eq(self.slot)]
        with m.If(self.advance & op.valid):
            m.d.sync += [started.eq(~closing), parity.eq(parity ^ closing)]

        # An offer counts if it is of the tile that will be issued next cycle and that tile may be issued.
        live = Signal(len(pools))
        m.d.comb += live.eq(Cat(Mux(pool.next, closing & self.go_next, self.go & ~closing) for pool in pools))
        taken = self._dense(m, pools, live)
        if config.sparse_lanes:
            self._sparse(m, pools, live, taken, ends, closing)
        return m

    def _address(self, m: Module, pools) -> None:
        """Pool n's dense segment, or the sparse one in its first cycle, is in bank n; for the counters, how many."""
        below, op = exact_log2(len(pools)), self.op
        dense, digits = [pool.dense.valid for pool in pools], sum(sum(pool.dense.rows) for pool in pools)
        if self._config.sparse_lanes:
            m.d.comb += op.sparse.bank.eq(Cat(pool.sparse.valid for pool in pools))
            digits += op.sparse.valid
        m.d.comb += [op.segments.eq(sum(dense)), op.digits.eq(digits)]
        for n, pool in enumerate(pools):
            k = pool.dense.k
            if self._config.sparse_lanes:
                k = Mux(op.sparse.fresh & pool.sparse.valid, pool.sparse.k, k)
            m.d.comb += op.k[n].eq(k[below:])

    def _dense(self, m: Module, pools, live) -> list:
        """Slot j takes from pool j or pool j + depth; returns which pools give."""
        depth = self._config.dense_depth
        taken = [Signal(name=f"taken_{n}") for n in range(len(pools))]
        for j in range(depth):
            mine = pools[j::depth]
            offers = [Mux(live[n], pools[n].dense_offer, 0) for n in range(j, len(pools), depth)]
            if len(mine) == 1:
                choose = [offers[0].any()]
            else:
                # one-hot classes compare as numbers
                choose = [offers[0].any() & (offers[0] >= offers[1]), offers[1] > offers[0]]
            for n, chosen in zip(range(j, len(pools), depth), choose):
                m.d.comb += [taken[n].eq(chosen), pools[n].take_dense.eq(taken[n])]
            segment, out = Signal(slot_layout(self._config), name=f"dense_{j}"), self.op.dense[j]
            m.d.comb += [segment.eq(reduce(or_, (pool.dense.as_value() for pool in mine))),
                         out.plane.eq(segment.plane), out.upper.eq(mine[-1].dense.valid & (len(mine) > 1))]
            m.d.comb += [out.left[r].eq(recode(segment.digit[r])) for r in range(TILE)]
        return taken

    def _sparse(self, m: Module, pools, live, taken, ends, closing) -> None:
        """Issue the lowest remaining digit; with the last one take the thinnest offer of all pools.

        `final`, kept as a register so that the picks need not wait for it: the lane has at most one digit left.
        """
        segment, out = Signal(slot_layout(self._config), name="sparse"), self.op.sparse
        fresh, remaining = Signal(), Signal(TILE)
        rows, now, rest = (Signal(TILE, name=name) for name in ("rows", "now", "rest"))
        m.d.comb += [segment.eq(reduce(or_, (pool.sparse.as_value() for pool in pools))),
                     rows.eq(Mux(fresh, segment.rows, remaining)), now.eq(lowest(rows)), rest.eq(rows & ~now),
                     out.valid.eq(segment.valid), out.fresh.eq(fresh), out.plane.eq(segment.plane)]
        for r in range(TILE):
            with m.If(now[r] & segment.valid):
                m.d.comb += [out.row.eq(r), out.left.eq(recode(segment.digit[r]))]

        gives, thinnest = self._thinnest(m, pools, live, taken, ends, closing)
        for n, pool in enumerate(pools):
            m.d.comb += pool.take_sparse.eq(gives[n])
        with m.If(self.advance):
            m.d.sync += [fresh.eq(self._final & gives.any()), remaining.eq(rest),
                         self._final.eq(Mux(self._final, ~gives.any() | thinnest[1], ~(rest & (rest - 1)).any()))]

    def _thinnest(self, m: Module, pools, live, taken, ends, closing):
        """Which pool gives, one-hot, and the class of what it gives."""
        offers = [Signal(Count, name=f"thin_{n}") for n in range(len(pools))]
        for n, (pool, offer) in enumerate(zip(pools, offers)):
            worth = self._worth(m, pools, live, n, Mux(closing, ends == 2, ends != 0))
            m.d.comb += offer.eq(Mux(live[n] & ~taken[n] & worth, pool.sparse_offer, 0))
        fewest, thinnest, gives = Signal(Count), Signal(Count), Signal(len(pools))
        m.d.comb += [fewest.eq(reduce(or_, offers)), thinnest.eq(lowest(fewest))]
        with_it = Signal.like(gives)
        m.d.comb += [with_it.eq(Cat((offer & thinnest).any() for offer in offers)), gives.eq(lowest(with_it))]
        return gives, thinnest

    def _worth(self, m: Module, pools, live, n: int, ended):
        """Balance: the dense lane needs a cycle for each segment that waits of this slot, this one among them."""
        config = self._config
        if config.allocation is not Allocation.BALANCE:
            return 1
        waiting = Signal(range(2 * config.queue_depth + 1), name=f"waiting_{n}")
        m.d.comb += waiting.eq(sum(Mux(live[p], pools[p].waiting, 0)
                                   for p in range(n % config.depth, len(pools), config.depth)))
        fewer = Cat(waiting > number for number in range(Count))
        return ~ended | (pools[n].sparse_offer & fewer).any()
