# SPDX-License-Identifier: Apache-2.0
"""Pool: the segments of one residue of k that wait for a lane."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, Allocation, MachineConfig
from hw.numerics import lowest
from hw.payloads import slot_layout

#: A segment's digits to issue, one-hot: bit n for n of them.
Count = TILE + 1


class Pool(Component):
    """Hold waiting segments and offer one to each lane.

    The dense lane is offered the segment with the most digits, the sparse lane the one with the fewest, each the
    lowest position among equals. Which segments a lane may have is the policy's (`Allocation`): segments of
    1..threshold digits are thin; `threshold` gives thin ones to the sparse lane and the others to the dense lane,
    `balance` offers the thin ones to both, `sparse` has no dense lane. Offers are of the tile being issued while any of
    it waits here, then of the next one. What a lane took stays in its place until the lane has issued it.

    Parameters
    ----------
    config : MachineConfig
        Uses allocation, slots, residues, queue_depth.

    Members
    -------
    write : In(1), write_parity : In(1), threshold : In, incoming : In(array of slots / residues x slot)
        Store the valid slots, of tile parity `write_parity` and its threshold: slot i goes to the i-th lowest free
        position. Only while `ready`.
    ready : Out(1)
        A whole beat fits.
    parity : In(1)
        Of the tile being issued.
    next : Out(1)
        Nothing of the tile being issued waits here: offers are of the next tile.
    dense_offer, sparse_offer : Out(5)
        Digits of the offered segments, one-hot; 0 for none. Both may be the same segment.
    waiting : Out(range(queue_depth + 1))
        Segments waiting of the tile that the offers are of.
    advance : In(1), take_dense : In(1), take_sparse : In(1), sparse_done : In(1)
        With `advance`: the dense lane has issued its segment and takes the offer or nothing; the sparse lane, if
        done with its segment, too.
    dense : Out(slot), sparse : Out(slot)
        The segments that the lanes took; all 0 for none.

    Latency: 1 cycle from write to offer, 1 from a taken offer to its segment. Throughput: a beat in, two segments
    out a cycle.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        slot = slot_layout(config)
        super().__init__({
            "write": In(1), "write_parity": In(1), "threshold": In(range(TILE + 1)),
            "incoming": In(data.ArrayLayout(slot, config.slots_per_residue)), "ready": Out(1),
            "parity": In(1), "next": Out(1), "dense_offer": Out(Count), "sparse_offer": Out(Count),
            "waiting": Out(range(config.queue_depth + 1)),
            "advance": In(1), "take_dense": In(1), "take_sparse": In(1), "sparse_done": In(1),
            "dense": Out(slot), "sparse": Out(slot)})

    def elaborate(self, platform):
        m = Module()
        size = self._config.queue_depth
        entries = [Signal(slot_layout(self._config), name=f"entry_{n}") for n in range(size)]
        count = [Signal(Count, name=f"count_{n}") for n in range(size)]
        parity, thin = Signal(size), Signal(size)
        in_dense, in_sparse = Signal(size), Signal(size)   # positions that the lanes took
        self._store(m, entries, count, parity, thin)

        free_to_take = Cat(entry.valid for entry in entries) & ~in_dense & ~in_sparse
        current, mine = Signal(size), Signal(size)
        m.d.comb += [current.eq(free_to_take & Cat(bit == self.parity for bit in parity)),
                     self.next.eq(~current.any()), mine.eq(Mux(self.next, free_to_take, current)),
                     self.waiting.eq(sum(mine))]
        if self._config.dense_depth:
            by_policy = mine & ~thin if self._config.allocation is Allocation.THRESHOLD else mine
            pick_dense = self._pick(m, "dense", by_policy, count, range(TILE, 0, -1), self.dense_offer)
            with m.If(self.advance):
                m.d.sync += in_dense.eq(Mux(self.take_dense, pick_dense, 0))
            m.d.comb += self.dense.eq(self._segment(in_dense, entries))
        if self._config.sparse_lanes:
            pick_sparse = self._pick(m, "sparse", mine & thin, count, range(1, TILE + 1), self.sparse_offer)
            with m.If(self.advance & self.sparse_done):
                m.d.sync += in_sparse.eq(Mux(self.take_sparse, pick_sparse, 0))
            m.d.comb += self.sparse.eq(self._segment(in_sparse, entries))
        for n in range(size):
            with m.If(self.advance & (in_dense[n] | (in_sparse[n] & self.sparse_done))):
                m.d.sync += entries[n].valid.eq(0)
        return m

    def _store(self, m: Module, entries, count, parity, thin) -> None:
        """Slot i to the i-th lowest free position."""
        rest = ~Cat(entry.valid for entry in entries)
        all_thin = self._config.allocation is Allocation.SPARSE
        for i, slot in enumerate(self.incoming):
            free, target = (Signal(len(entries), name=f"{name}_{i}") for name in ("free", "target"))
            number, digits = Signal(range(Count), name=f"number_{i}"), Signal(Count, name=f"digits_{i}")
            m.d.comb += [free.eq(rest), target.eq(lowest(free)), number.eq(sum(slot.rows)), digits.eq(1 << number)]
            rest = free & ~target
            for n, entry in enumerate(entries):
                with m.If(self.write & target[n] & slot.valid):
                    m.d.sync += [entry.eq(slot), count[n].eq(digits), parity[n].eq(self.write_parity),
                                 thin[n].eq(1 if all_thin else number <= self.threshold)]
            m.d.comb += self.ready.eq(target.any())      # written last wins: the last slot finds a place

    def _pick(self, m: Module, lane: str, eligible, count, order: range, offer: Signal) -> Signal:
        """One-hot of the lowest eligible position in the first class of `order` that has any; offers that class."""
        pick, mask, first = (Signal(len(count), name=f"{name}_{lane}") for name in ("pick", "eligible", "first"))
        m.d.comb += mask.eq(eligible)
        chosen, best = 0, 0
        for n in reversed(order):
            members = Signal(len(count), name=f"{lane}_of_{n}")
            m.d.comb += members.eq(Cat(bit & bits[n] for bit, bits in zip(mask, count)))
            chosen, best = Mux(members.any(), members, chosen), Mux(members.any(), 1 << n, best)
        m.d.comb += [first.eq(chosen), pick.eq(lowest(first)), offer.eq(best)]
        return pick

    def _segment(self, one_hot: Signal, entries):
        return reduce(or_, (Mux(one_hot[n], entry.as_value(), 0) for n, entry in enumerate(entries)))
