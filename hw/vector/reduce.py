# SPDX-License-Identifier: Apache-2.0
"""Sum or maximum over a row that passes in beats of some lanes."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2


def add(x: Value, y: Value) -> Value:
    """The operation of a sum."""
    return x + y


def larger(x: Value, y: Value) -> Value:
    """The operation of a maximum."""
    return Mux(x > y, x, y)


class Reduce(Component):
    """A tree over the lanes, a register a level, then one accumulator.

    Parameters
    ----------
    operation : function of two Values
        `add` or `larger`.
    bits : int
        Signed width of an element.
    lanes : int
        Elements of a beat.
    total_bits : int
        Signed width of the result.

    Members
    -------
    advance : In(1)
        The stages move.
    valid : In(1), last : In(1)
        There is a beat; it is its row's last.
    value : In(array of lanes x signed(bits))
        The beat; what does not count holds the operation's neutral value.
    done : Out(1), total : Out(signed(total_bits))
        A row is complete, and its result; to be taken in that step.

    Latency: ceil(log2(lanes)) + 1 cycles. Throughput: a beat a cycle.
    """

    def __init__(self, operation: Callable[[Value, Value], Value], bits: int, lanes: int, total_bits: int) -> None:
        self._operation, self._bits, self._lanes, self._total_bits = operation, bits, lanes, total_bits
        self.latency = ceil_log2(lanes) + 1
        super().__init__({"advance": In(1), "valid": In(1), "last": In(1),
                          "value": In(data.ArrayLayout(signed(bits), lanes)),
                          "done": Out(1), "total": Out(signed(total_bits))})

    def elaborate(self, platform):
        m = Module()
        level, valid, last = [self.value[n] for n in range(self._lanes)], self.valid, self.last
        step = {"add": 1, "larger": 0}[self._operation.__name__]
        for depth in range(self.latency - 1):
            above, pairs = [], (len(level) + 1) // 2
            flags = [Signal(name=f"{name}_{depth}") for name in ("valid", "last")]
            for n in range(pairs):
                node = Signal(signed(min(self._bits + step * (depth + 1), self._total_bits)), name=f"node_{depth}_{n}")
                pair = level[2 * n:2 * n + 2]
                with m.If(self.advance & valid):
                    m.d.sync += node.eq(self._operation(*pair) if len(pair) == 2 else pair[0])
                above.append(node)
            with m.If(self.advance):
                m.d.sync += [flags[0].eq(valid), flags[1].eq(last)]
            level, (valid, last) = above, flags
        fresh = Signal(init=1)      # the next beat is a row's first
        with m.If(self.advance):
            m.d.sync += self.done.eq(valid & last)
            with m.If(valid):
                m.d.sync += [self.total.eq(Mux(fresh, level[0], self._operation(self.total, level[0]))), fresh.eq(last)]
        return m
