# SPDX-License-Identifier: Apache-2.0
"""Merge unit of the allocation: digits of several segments share an op."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.utils import exact_log2

from hw.compute.multiplier import recode
from hw.config import TILE, MachineConfig
from hw.numerics import lowest
from hw.payloads import op_layout
from hw.route.bank_queue import BankQueue
from hw.route.issue import SegmentIssue


class MergeUnit(SegmentIssue):
    """Condense digits of several segments into one op (EXION's condense-and-merge carried into the array).

    Every bank of the right store shows the row of its queue's head. Multiplier j of a row takes a digit of its row
    from the heads of banks 2j, 2j + 1, ... (`buses` of them, round the end): of the fullest queues first, then in
    that order; even multipliers choose before odd ones. Rows choose alone, so a segment may be issued over several
    cycles and shares each with others; a head that is through makes room for the next. The digits of an op are of one
    plane, so that an element shifts its sum: the high one where a head of a fullest queue has it (of any head where
    none of those is of this tile).

    Parameters and members: see `IssueUnit`; `left` carries segments, accepted once their tile's job is here.

    Latency: 2 cycles from an accepted beat to its first op. Throughput: 4 x depth digits a cycle.
    Numerics: digits are recoded to radix 4; none is lost or doubled.
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        super().__init__(config)
        self._chosen = Signal(op_layout(config))      # the op, but for what is known only as it is taken
        self._spent = Signal(config.residues)         # heads that it finishes
        # Every second multiplier first: they see different banks, so half of the choices wait for no other.
        self._order = [*range(0, config.depth, 2), *range(1, config.depth, 2)]

    def elaborate(self, platform):
        m = Module()
        op, chosen = self.op, self._chosen
        queues = [BankQueue(self._config) for _ in range(self._config.residues)]
        parity, started, closing = Signal(), Signal(), Signal()
        ends = Signal(range(3))                         # panels wholly received but not wholly issued
        for n, queue in enumerate(queues):
            m.submodules[f"queue_{n}"] = queue
        self._accept(m, queues, parity, ends, closing)

        current = self._of(queues, parity)
        m.d.comb += [closing.eq((ends != 0) & ~current.any() & self.go),
                     op.eq(chosen), op.valid.eq(chosen.valid | closing), op.first.eq(~started), op.last.eq(closing),
                     op.slot.eq(self.slot), op.segments.eq(sum(self._spent)),
                     op.digits.eq(sum(select.any() for slot in chosen.dense for select in slot.select))]
        with m.If(self.advance & op.valid):
            m.d.sync += [started.eq(~closing), parity.eq(parity ^ closing)]

        # The next op is of the tile that will be issued next cycle, if that tile may be issued.
        live = Signal(len(queues))
        m.d.comb += live.eq(Mux(closing, Mux(self.go_next, self._of(queues, ~parity), 0),
                                Mux(self.go, current, 0)))
        self._choose(m, queues, live)
        return m

    def _of(self, queues, parity):
        """Queues whose head is of the tile with that parity."""
        return Cat(queue.head.valid & (queue.head_parity == parity) for queue in queues)

    def _choose(self, m: Module, queues, live) -> None:
        """Each row's multipliers, one after the other, take digits of the heads."""
        chosen, banks = self._chosen, range(len(queues))
        fullest = reduce(or_, (queue.level for queue in queues))
        full, usable, plane = Signal.like(live), Signal.like(live), Signal()
        planes = Cat(queue.head.plane for queue in queues)
        m.d.comb += [full.eq(live & Cat(queue.level == fullest for queue in queues)),
                     plane.eq((Mux(full.any(), full, live) & planes).any()),
                     usable.eq(live & Cat(bit == plane for bit in planes))]
        takes = [[] for _ in banks]
        for r in range(TILE):
            rest = Cat(queue.head.rows[r] for queue in queues) & usable
            for j in self._order:
                open_ = Signal(len(queues), name=f"open_{r}_{j}")
                m.d.comb += open_.eq(rest)
                rest = open_ & ~self._pick(m, queues, r, j, open_, full)
            for b in banks:
                takes[b].append((usable[b] & queues[b].head.rows[r]) & ~rest[b])
        for b, queue in enumerate(queues):
            m.d.comb += queue.take.eq(Mux(self.advance, Cat(takes[b]), 0))
        with m.If(self.advance):
            below = exact_log2(len(queues))
            m.d.sync += [chosen.k[b].eq(queue.head.k[below:]) for b, queue in enumerate(queues)]
            m.d.sync += [chosen.valid.eq(usable.any()), chosen.plane.eq(plane),
                         self._spent.eq(Cat(queue.spent for queue in queues))]

    def _pick(self, m: Module, queues, r: int, j: int, open_, full):
        """Multiplier j of row r: one of its buses, one-hot over the banks."""
        banks, buses = len(queues), self._config.buses
        mine = [b % banks for b in range(2 * j, 2 * j + buses)]
        eligible, preferred, offered, select = (Signal(buses, name=f"{name}_{r}_{j}") for name in
                                                ("eligible", "preferred", "offered", "select"))
        m.d.comb += [eligible.eq(Cat(open_[b] for b in mine)), preferred.eq(Cat(open_[b] & full[b] for b in mine)),
                     offered.eq(Mux(preferred.any(), preferred, eligible)), select.eq(lowest(offered))]
        with m.If(self.advance):
            out = self._chosen.dense[j]
            m.d.sync += [out.select[r].eq(select), out.left[r].eq(
                reduce(or_, (Mux(select[i], recode(queues[b].head.digit[r]), 0) for i, b in enumerate(mine))))]
        return Cat(select[mine.index(b)] if b in mine else 0 for b in range(banks))
