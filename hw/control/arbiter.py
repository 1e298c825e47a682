# SPDX-License-Identifier: Apache-2.0
"""Round-robin arbiter."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out


class RoundRobin(Component):
    """Say who may go; who went last comes last in the next cycle.

    A client's own request does not show in its own `free`, so `free` may drive the ready of a stream.

    Parameters
    ----------
    count : int
        Clients, at least 1.

    Members
    -------
    requests : In(count)
    free : Out(count)
        No other request comes before the client's; `requests & free` has at most one bit.

    Latency: 0 cycles. A request that stays is granted within `count` cycles.
    """

    latency = 0

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"count is {count}, must be at least 1")
        self._count = count
        super().__init__({"requests": In(count), "free": Out(count)})

    def elaborate(self, platform):
        m = Module()
        later = Signal(self._count)              # clients behind the one that went last
        first, second, gone = Signal(self._count), Signal(self._count), Signal(self._count)
        m.d.comb += [first.eq(self.requests & later), second.eq(self.requests & ~later),
                     gone.eq(self.requests & self.free)]
        for n in range(self._count):
            # Where n is not later, first[n] is 0: left out, so that no path leads from a request to its own `free`.
            others = Cat(first[:n], first[n + 1:], second[:n])
            m.d.comb += self.free[n].eq(~Mux(later[n], first[:n].any(), others.any()))
        with m.If(gone.any()):
            m.d.sync += later.eq(Cat(gone[:n].any() for n in range(self._count)))
        return m
