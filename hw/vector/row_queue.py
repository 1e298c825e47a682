# SPDX-License-Identifier: Apache-2.0
"""A queue in a memory, for what is known of rows whose second reading is still to come."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2


class RowQueue(Component):
    """First in, first out.

    Parameters
    ----------
    shape : ShapeLike
        Payload.
    depth : int
        Entries, a power of two.

    Members
    -------
    i : In(stream), o : Out(stream)
        Entries in, head out.

    Latency: 1 cycle. Throughput: an entry a cycle (a full queue refuses even as it is read).
    """

    latency = 1

    def __init__(self, shape, depth: int) -> None:
        self._shape, self._depth = shape, depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.entries = entries = Memory(shape=self._shape, depth=self._depth, init=[])
        write = entries.write_port()
        read = entries.read_port(transparent_for=(write,))
        level = Signal(range(self._depth + 1))
        head, end = Signal(exact_log2(self._depth)), Signal(exact_log2(self._depth))
        put, take = Signal(), Signal()
        m.d.comb += [self.i.ready.eq(level != self._depth), self.o.valid.eq(level != 0),
                     put.eq(self.i.valid & self.i.ready), take.eq(self.o.valid & self.o.ready),
                     write.en.eq(put), write.addr.eq(end), write.data.eq(self.i.payload), read.en.eq(1),
                     read.addr.eq(head + take),
                     self.o.payload.eq(read.data)]
        m.d.sync += [level.eq(level + put - take), end.eq(end + put), head.eq(head + take)]
        return m
