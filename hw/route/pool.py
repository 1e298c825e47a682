# SPDX-License-Identifier: Apache-2.0
"""Pool: the segments of one residue of k that wait for a lane."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import TILE, Allocation, MachineConfig
from hw.numerics import lowest
from hw.payloads import slot_layout


class Pool(Component):
    """Hold waiting segments and offer one to each lane.

    The dense lane is offered the segment with the most non-zeros, the sparse lane one with the fewest, each the
    lowest position among equals; the sparse one from the other half of the right bank. Which segments a lane may
    have is the policy's (`Allocation`): threshold gives 1..threshold non-zeros to the sparse lane and the rest to
    the dense lane; balance leaves all to the dense lane too, and after the panel's last beat gives the sparse lane
    only what it finishes no later than the dense lane would finish all. Zero segments (dense mode) are dense.

    Parameters
    ----------
    config : MachineConfig
        Uses allocation, depth, slots, queue_depth.

    Members
    -------
    write : In(1), write_parity : In(1), incoming : In(array of slots / depth x slot)
        Store the valid slots: slot i goes to the i-th lowest free position. Only while `ready`.
    ready : Out(1)
        A whole beat fits.
    enable, parity, ended, threshold : In
        Pick among the segments of this tile parity; all of its segments are here (`ended`).
    dense_valid : Out(1), dense : Out(slot), take_dense : In(1)
        Offer to the dense lane.
    sparse_valid : Out(1), sparse : Out(slot), sparse_nonzeros : Out(3), take_sparse : In(1)
        Offer to the sparse lane.
    waiting : Out(2)
        Some segment of tile parity 0, 1 is here.

    Latency: 1 cycle from write to offer. Throughput: a beat in, two segments out a cycle.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        slot = slot_layout(config)
        super().__init__({
            "write": In(1), "write_parity": In(1),
            "incoming": In(data.ArrayLayout(slot, config.slots // config.depth)), "ready": Out(1),
            "enable": In(1), "parity": In(1), "ended": In(1), "threshold": In(range(TILE + 1)),
            "dense_valid": Out(1), "dense": Out(slot), "take_dense": In(1),
            "sparse_valid": Out(1), "sparse": Out(slot), "sparse_nonzeros": Out(range(TILE + 1)),
            "take_sparse": In(1), "waiting": Out(2)})

    def elaborate(self, platform):
        m = Module()
        size = self._config.queue_depth
        slot = slot_layout(self._config)
        entries = [Signal(slot, name=f"entry_{n}") for n in range(size)]
        parity = [Signal(name=f"parity_{n}") for n in range(size)]
        nonzeros = [Signal(range(TILE + 1), name=f"nonzeros_{n}") for n in range(size)]
        occupied = Cat(entry.valid for entry in entries)
        m.d.comb += self.waiting.eq(Cat((occupied & ~Cat(parity)).any(), (occupied & Cat(parity)).any()))
        self._store(m, entries, parity, nonzeros)

        mine = Signal(size)
        m.d.comb += mine.eq(Cat(self.enable & entry.valid & (p == self.parity)
                                for entry, p in zip(entries, parity)))
        fits_sparse = Cat((n != 0) & (n <= self.threshold) for n in nonzeros)
        dense, sparse = Signal(size), Signal(size)
        eligible = mine & ~fits_sparse if self._config.allocation is Allocation.THRESHOLD else mine
        self._pick(m, dense, eligible, nonzeros, range(TILE, -1, -1))
        self._offer(m, dense, entries, self.dense_valid, self.dense)
        if self._config.sparse_lanes:
            half = exact_log2(self._config.depth)
            apart = Cat(~self.dense_valid | (entry.k[half] != self.dense.k[half]) for entry in entries)
            self._pick(m, sparse, mine & fits_sparse & apart & ~dense, nonzeros, range(1, TILE + 1))
            offered = Signal()
            self._offer(m, sparse, entries, offered, self.sparse)
            m.d.comb += [self.sparse_nonzeros.eq(reduce(or_, (Mux(sparse[n], nonzeros[n], 0) for n in range(size)))),
                         self.sparse_valid.eq(offered & self._worth(m, mine & ~dense))]
        for n in range(size):
            with m.If((self.take_dense & dense[n]) | (self.take_sparse & sparse[n])):
                m.d.sync += entries[n].valid.eq(0)
        return m

    def _store(self, m: Module, entries, parity, nonzeros) -> None:
        """Slot i to the i-th lowest free position: a running one-hot keeps the search short."""
        free = ~Cat(entry.valid for entry in entries)
        targets = []
        for i, slot in enumerate(self.incoming):
            target = Signal(len(entries), name=f"target_{i}")
            m.d.comb += target.eq(lowest(free))
            targets.append(target)
            free = free & ~target
        m.d.comb += self.ready.eq(targets[-1].any())
        for n, entry in enumerate(entries):
            for i, slot in enumerate(self.incoming):
                with m.If(self.write & targets[i][n] & slot.valid):
                    m.d.sync += [entry.eq(slot), parity[n].eq(self.write_parity),
                                 nonzeros[n].eq(sum(magnitude.any() for magnitude in slot.magnitude))]

    def _pick(self, m: Module, one_hot: Signal, eligible, nonzeros, order: range) -> None:
        """One-hot of the lowest eligible position in the first class of `order` that has any."""
        mask = Signal.like(one_hot)
        m.d.comb += mask.eq(eligible)
        classes = [Cat(bit & (n == count) for bit, n in zip(mask, nonzeros)) for count in order]
        chosen = classes[-1]
        for candidate in reversed(classes[:-1]):
            chosen = Mux(candidate.any(), candidate, chosen)
        m.d.comb += one_hot.eq(lowest(chosen))

    def _offer(self, m: Module, one_hot: Signal, entries, valid, slot) -> None:
        selected = reduce(or_, (Mux(one_hot[n], entry.as_value(), 0) for n, entry in enumerate(entries)))
        m.d.comb += [valid.eq(one_hot.any()), slot.eq(selected)]

    def _worth(self, m: Module, rest):
        """Balance, after the last beat: `rest` dense issues would finish everything that is left."""
        if self._config.allocation is Allocation.THRESHOLD:
            return 1
        left = Signal(unsigned(self._config.queue_depth.bit_length()))
        m.d.comb += left.eq(sum(rest))
        return ~self.ended | (self.sparse_nonzeros <= left)
