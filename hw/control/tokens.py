# SPDX-License-Identifier: Apache-2.0
"""Semaphores between units: who may start, and what completes."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

from hw.control.arbiter import RoundRobin
from hw.control.isa import SEMAPHORE_BITS, SEMAPHORES


class Tokens(Component):
    """Counting semaphores: a start takes one of each that it waits for, a completion adds one to each it signals.

    One unit starts a cycle; any number complete.

    Parameters
    ----------
    units : int

    Members
    -------
    wait : In(array of masks), ready : In(units)
        Semaphores that each unit's next instruction waits for; the unit could start it now.
    start : Out(units)
        One-hot: this one does.
    signal : In(array of masks), done : In(units)
        Semaphores that each unit's oldest instruction signals; it completes.
    overflow : Out(1)
        A count passed its width in the cycle before, and is wrong from now on.
    counts : Out(array)

    Latency: a completion shows in `start` in the next cycle. A count never goes below 0.
    """

    def __init__(self, units: int) -> None:
        self._units = units
        masks = data.ArrayLayout(SEMAPHORES, units)
        super().__init__({"wait": In(masks), "ready": In(units), "start": Out(units), "signal": In(masks),
                          "done": In(units), "overflow": Out(1),
                          "counts": Out(data.ArrayLayout(SEMAPHORE_BITS, SEMAPHORES))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = RoundRobin(self._units)
        there = Signal(SEMAPHORES)
        m.d.comb += [there.eq(Cat(count.any() for count in self.counts)),
                     self.start.eq(arbiter.requests & arbiter.free)]
        m.d.comb += arbiter.requests.eq(Cat(self.ready[u] & ((self.wait[u] & ~there) == 0) for u in range(self._units)))
        over = Signal(SEMAPHORES)
        for n in range(SEMAPHORES):
            more = sum(self.done[u] & self.signal[u][n] for u in range(self._units))
            less = Cat(self.start[u] & self.wait[u][n] for u in range(self._units)).any()
            after = Signal(SEMAPHORE_BITS + ceil_log2(self._units + 2), name=f"after_{n}")
            m.d.comb += [after.eq(self.counts[n] + more - less), over[n].eq(after[SEMAPHORE_BITS:].any())]
            m.d.sync += self.counts[n].eq(after)
        m.d.sync += self.overflow.eq(over.any())
        return m
