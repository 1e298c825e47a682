# SPDX-License-Identifier: Apache-2.0
"""A short queue of registers whose first two entries are visible."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2


class RegisterQueue(Component):
    """First in, first out; the head and the entry behind it can be read at any time.

    Parameters
    ----------
    shape : ShapeLike
        Payload.
    depth : int
        Entries, at least 2.

    Members
    -------
    i : In(stream), o : Out(stream)
        Entries in, head out.
    second_valid : Out(1), second : Out(shape)
        The entry behind the head.

    Latency: 1 cycle. Throughput: an entry a cycle while not full (a full queue refuses even as it is read).
    """

    latency = 1

    def __init__(self, shape, depth: int) -> None:
        if depth < 2:
            raise ValueError(f"depth is {depth}, must be at least 2")
        self._shape, self._depth = shape, depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)),
                          "second_valid": Out(1), "second": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        entries = Array(Signal(self._shape, name=f"entry_{n}") for n in range(self._depth))
        level = Signal(range(self._depth + 1))
        put, take = Signal(), Signal()
        m.d.comb += [self.i.ready.eq(level != self._depth), self.o.valid.eq(level != 0), self.o.payload.eq(entries[0]),
                     self.second_valid.eq(level > 1), self.second.eq(entries[1]),
                     put.eq(self.i.valid & self.i.ready), take.eq(self.o.valid & self.o.ready)]
        m.d.sync += level.eq(level + put - take)
        position = Signal(range(1 << ceil_log2(self._depth)))
        m.d.comb += position.eq(level - take)
        for n in range(self._depth):
            with m.If(put & (position == n)):
                m.d.sync += entries[n].eq(self.i.payload)
            if n + 1 < self._depth:
                with m.Elif(take):
                    m.d.sync += entries[n].eq(entries[n + 1])
        return m
