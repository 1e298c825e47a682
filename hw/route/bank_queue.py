# SPDX-License-Identifier: Apache-2.0
"""Bank queue: the segments of one bank of the right store, in order, the first of them open to the elements."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, MachineConfig
from hw.payloads import slot_layout


class BankQueue(Component):
    """First in, first out, except that the head stays until each of its digits has been taken.

    The head knows late in a cycle that it is through: it takes its successor at once, the places behind move up a
    cycle later.

    Parameters
    ----------
    config : MachineConfig
        Uses slots, residues, queue_depth.

    Members
    -------
    write : In(1), write_parity : In(1), incoming : In(array of slots / residues x slot)
        Store the valid slots, which come first, of tile parity `write_parity`. Only while `ready`.
    ready : Out(1)
        A whole beat fits.
    head : Out(slot), head_parity : Out(1)
        `rows` are those whose digit is still to be taken.
    level : Out(queue_depth)
        Segments behind the head, as a thermometer: bit n is set where there are more than n.
    take : In(4)
        Rows whose digit is taken in this cycle.
    spent : Out(1)
        With them the head is through.

    Latency: 1 cycle from write to head. Throughput: a beat in, a segment out a cycle.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        slot = slot_layout(config)
        super().__init__({
            "write": In(1), "write_parity": In(1),
            "incoming": In(data.ArrayLayout(slot, config.slots_per_residue)), "ready": Out(1),
            "head": Out(slot), "head_parity": Out(1), "level": Out(config.queue_depth), "take": In(TILE),
            "spent": Out(1)})

    def elaborate(self, platform):
        m = Module()
        size, arriving = self._config.queue_depth, self._config.slots_per_residue
        entry = data.StructLayout({"slot": slot_layout(self._config), "parity": 1})
        entries = [Signal(entry, name=f"entry_{n}") for n in range(size)]
        coming = [Signal(entry, name=f"coming_{i}") for i in range(arriving)]
        head, moved = Signal(entry), Signal()     # moved: the first place behind the head is in the head already
        rest, moves, kept = Signal(TILE), Signal(), Signal(size)
        stored, following = Cat(place.slot.valid for place in entries), Signal(entry)
        m.d.comb += [
            kept.eq(Mux(moved, stored >> 1, stored)), self.level.eq(kept), self.ready.eq(~kept[size - arriving]),
            self.head.eq(head.slot), self.head_parity.eq(head.parity),
            rest.eq(head.slot.rows & ~self.take), self.spent.eq(head.slot.valid & ~rest.any()),
            moves.eq(~head.slot.valid | self.spent),
            following.eq(Mux(kept[0], Mux(moved, entries[1].as_value(), entries[0].as_value()), coming[0]))]
        for i, slot in enumerate(self.incoming):
            m.d.comb += [coming[i].slot.eq(slot), coming[i].slot.valid.eq(slot.valid & self.write),
                         coming[i].parity.eq(self.write_parity)]
        m.d.sync += [head.slot.rows.eq(rest), moved.eq(moves & following.slot.valid)]
        with m.If(moves):
            m.d.sync += head.eq(following)
        self._move_up(m, entries, coming, moved, kept)
        return m

    def _move_up(self, m: Module, entries, coming, moved, kept) -> None:
        """Places move up where the head took one; arrivals go to the first free places."""
        free = Signal.like(kept)
        m.d.comb += free.eq(~kept & ((kept << 1) | 1))
        for n, place in enumerate(entries):
            behind = entries[n + 1].as_value() if n + 1 < len(entries) else 0
            placed = reduce(or_, (Mux(free[n - i], arrival.as_value(), 0)
                                  for i, arrival in enumerate(coming) if i <= n))
            m.d.sync += place.eq(Mux(kept[n], Mux(moved, behind, place.as_value()), placed))
