# SPDX-License-Identifier: Apache-2.0
"""Walker: the addresses of nested loops over a matrix in the global buffer."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.memory.lines import PITCH_BITS, address_shape

#: Bits of a loop's count.
COUNT_BITS = 16


def walk_layout(config: MachineConfig, levels: int) -> data.StructLayout:
    """Loops, outermost first: steps of each, at least 1, and lines from one step to the next."""
    return data.StructLayout({
        "address": address_shape(config), "count": data.ArrayLayout(unsigned(COUNT_BITS), levels),
        "stride": data.ArrayLayout(unsigned(COUNT_BITS + 3), levels), "transposed": 1, "word": exact_log2(config.ccpes),
        "pitch": PITCH_BITS})


def place_layout(config: MachineConfig, levels: int) -> data.StructLayout:
    """One step: its address; for every loop whether this is its last step; word and pitch of a transposed read."""
    return data.StructLayout({"address": address_shape(config), "end": levels, "transposed": 1,
                              "word": exact_log2(config.ccpes), "pitch": PITCH_BITS})


class Walker(Component):
    """Give the address of every step of nested loops, the innermost fastest.

    The address is the sum over the loops of step x stride. When `transposed`, loop `worded` takes one word a step
    and its stride only after the last word of a line: so walk the blocks of a matrix whose transpose is wanted.

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

    Latency: 1 cycle. Throughput: a step a cycle, no cycle between two walks.
    """

    latency = 1

    def __init__(self, config: MachineConfig, levels: int, worded: int | None = None) -> None:
        self._config, self._levels, self._worded = config, levels, worded
        super().__init__({"command": In(stream.Signature(walk_layout(config, levels))),
                          "place": Out(stream.Signature(place_layout(config, levels)))})

    def elaborate(self, platform):
        m = Module()
        levels, place = range(self._levels), self.place.p
        walk, active = Signal(walk_layout(self._config, self._levels)), Signal()
        left = [Signal(COUNT_BITS, name=f"left_{n}") for n in levels]       # steps of each loop still to come
        start = [Signal(address_shape(self._config), name=f"start_{n}") for n in levels]   # where its step began
        word = Signal(exact_log2(self._config.ccpes))
        m.d.comb += [place.address.eq(start[-1]), place.end.eq(Cat(steps == 0 for steps in left)),
                     place.transposed.eq(walk.transposed), place.word.eq(word), place.pitch.eq(walk.pitch),
                     self.place.valid.eq(active), self.command.ready.eq(~active | (self.place.ready & place.end.all()))]
        with m.If(active & self.place.ready):
            self._step(m, walk, left, start, word)
        with m.If(self.command.valid & self.command.ready):
            command = self.command.p
            m.d.sync += [active.eq(1), walk.eq(command), word.eq(command.word)]
            m.d.sync += [steps.eq(command.count[n] - 1) for n, steps in enumerate(left)]
            m.d.sync += [address.eq(command.address) for address in start]
        with m.Elif(self.place.ready & place.end.all()):
            m.d.sync += active.eq(0)
        return m

    def _step(self, m: Module, walk, left, start, word) -> None:
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
                m.d.sync += left[n].eq(left[n] - 1)
                m.d.sync += [inner.eq(start[n] + moves) for inner in start[n:]]
                m.d.sync += [steps.eq(walk.count[k] - 1) for k, steps in enumerate(left) if k > n]
