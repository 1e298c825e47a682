# SPDX-License-Identifier: Apache-2.0
"""Walker: the addresses of nested loops over a matrix in the global buffer."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.memory.lines import PITCH_BITS, address_shape

#: Bits of a loop's count, and of its stride.
COUNT_BITS, STRIDE_BITS = 16, 19


def reach_shape(config: MachineConfig):
    """An address of the buffer plus a stride, whole: it may lie beyond the buffer."""
    return unsigned(max(Shape.cast(address_shape(config)).width, STRIDE_BITS) + 1)


def walk_layout(config: MachineConfig, levels: int) -> data.StructLayout:
    """Loops, outermost first: steps of each, at least 1, and lines from one step to the next."""
    return data.StructLayout({
        "address": address_shape(config), "count": data.ArrayLayout(unsigned(COUNT_BITS), levels),
        "stride": data.ArrayLayout(unsigned(STRIDE_BITS), levels), "transposed": 1, "word": exact_log2(config.ccpes),
        "pitch": PITCH_BITS})


def place_layout(config: MachineConfig, levels: int) -> data.StructLayout:
    """One step: its address; for every loop whether this is its last step; word and pitch of a transposed read."""
    return data.StructLayout({"address": address_shape(config), "end": levels, "transposed": 1,
                              "word": exact_log2(config.ccpes), "pitch": PITCH_BITS})


#: A line that a unit was told to read or write, but that is not there (or, transposed, not in one bank with others).
OutsideLayout = data.StructLayout({"valid": 1, "line": 32})


def join_outside(m: Module, given: Sequence, one) -> None:
    """`one` is the first of `given` that is valid."""
    for other in reversed(given):
        with m.If(other.valid):
            m.d.comb += one.eq(other)


class Walker(Component):
    """Give the address of every step of nested loops, the innermost fastest.

    The address is the sum over the loops of step x stride. When `transposed`, loop `worded` takes one word a step
    and its stride only after the last word of a line: so walk the blocks of a matrix whose transpose is wanted.
    A step outside the buffer, or a transposed one whose lines lie in two banks, is not given, and none after it.

    Parameters
    ----------
    config : MachineConfig
        Uses ccpes, buffers, buffer_lines.
    levels : int
        Loops.
    worded : int or None
        The loop that takes words in a transposed walk.

    Members
    -------
    command : In(stream of walks)
    place : Out(stream of places)
    outside : Out(OutsideLayout)
        The next step's line, where that is outside. Stays until reset.

    Latency: 1 cycle. Throughput: a step a cycle, no cycle between two walks.
    """

    latency = 1

    def __init__(self, config: MachineConfig, levels: int, worded: int | None = None) -> None:
        self._config, self._levels, self._worded = config, levels, worded
        super().__init__({"command": In(stream.Signature(walk_layout(config, levels))),
                          "place": Out(stream.Signature(place_layout(config, levels))),
                          "outside": Out(OutsideLayout)})

    def elaborate(self, platform):
        m = Module()
        config, levels, place = self._config, range(self._levels), self.place.p
        walk, active, load, moved = Signal(walk_layout(config, self._levels)), Signal(), Signal(), Signal()
        left = [Signal(COUNT_BITS, name=f"left_{n}") for n in levels]       # steps of each loop still to come
        # Where its step began; the innermost's may be outside.
        line, outside = Signal(reach_shape(config)), Signal()
        start = [*(Signal(address_shape(config), name=f"start_{n}") for n in levels[:-1]), line]
        word, following = Signal(exact_log2(config.ccpes)), Signal(reach_shape(config))
        m.d.comb += [place.address.eq(line), place.end.eq(Cat(steps == 0 for steps in left)),
                     place.transposed.eq(walk.transposed), place.word.eq(word), place.pitch.eq(walk.pitch),
                     self.place.valid.eq(active & ~outside), moved.eq(self.place.valid & self.place.ready),
                     self.command.ready.eq(~active | (moved & place.end.all())),
                     load.eq(self.command.valid & self.command.ready), self.outside.valid.eq(active & outside),
                     self.outside.line.eq(line)]
        with m.If(moved):
            self._step(m, walk, left, start, word, following)
        with m.If(load):
            command = self.command.p
            m.d.comb += following.eq(command.address)
            m.d.sync += [active.eq(1), walk.eq(command), word.eq(command.word)]
            m.d.sync += [steps.eq(command.count[n] - 1) for n, steps in enumerate(left)]
            m.d.sync += [address.eq(command.address) for address in start]
        with m.Elif(moved & place.end.all()):
            m.d.sync += active.eq(0)
        with m.If(load | (moved & ~place.end.all())):
            m.d.sync += outside.eq(self._leaves(following, Mux(load, self.command.p, walk)))
        return m

    def _leaves(self, line, walk):
        """Whether a step there leaves the buffer, or a transposed one its bank."""
        config = self._config
        beyond = line >= config.buffers * config.buffer_lines
        if self._worded is None or config.ccpes == 1:
            return beyond
        walk, low = data.View(walk_layout(config, self._levels), walk), exact_log2(config.buffer_lines)
        last = line + walk.pitch * (config.ccpes - 1)
        return beyond | (walk.transposed & (last >> low != line >> low))

    def _step(self, m: Module, walk, left, start, word, following) -> None:
        """The innermost loop that has not ended goes on; those inside it begin again where it stands then."""
        for n in range(self._levels):
            inside = Cat(steps == 0 for steps in left[n + 1:]).all() if n + 1 < self._levels else 1
            with m.If((left[n] != 0) & inside):
                moves = walk.stride[n]
                if n == self._worded:
                    m.d.sync += word.eq(word + walk.transposed)
                    moves = Mux(walk.transposed & ~word.all(), 0, moves)
                elif self._worded is not None and n < self._worded:
                    m.d.sync += word.eq(walk.word)
                m.d.comb += following.eq(start[n] + moves)
                m.d.sync += left[n].eq(left[n] - 1)
                m.d.sync += [inner.eq(following) for inner in start[n:]]
                m.d.sync += [steps.eq(walk.count[k] - 1) for k, steps in enumerate(left) if k > n]
