# SPDX-License-Identifier: Apache-2.0
"""A bank of the global buffer: lines of words, skewed so that a column of words is read as fast as a line."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import TILE, MachineConfig
from hw.memory.lines import WORD_BITS, line_shape, read_layout, write_layout


class BufferBank(Component):
    """Lines of one word a CCPE, with a read and a write a cycle.

    Word w of line A lies in memory (w + A) mod CCPEs. So the words of a line lie in different memories, and so do word
    w of lines A, A + s, A + 2s, ... for an odd stride s: a matrix of blocks is read transposed at full speed.

    Parameters
    ----------
    config : MachineConfig
        Uses ccpes (1, 2, 4 or 8), buffer_lines.

    Members
    -------
    read : In(read request), read_enable : In(1)
        The bank's bits of the address are ignored; a transposed read wraps at the bank's end.
    line : Out(line)
        The words that were asked for in the cycle before; else as it was.
    write : In(write request), write_enable : In(1)

    Attributes
    ----------
    memories : list of Memory
        For simulators.

    Latency: 1 cycle. Contents are never assumed. A read in the cycle of a write to its line gives either.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        self.memories = [Memory(shape=WORD_BITS, depth=config.buffer_lines, init=[]) for _ in range(config.ccpes)]
        super().__init__({"read": In(read_layout(config)), "read_enable": In(1), "line": Out(line_shape(config)),
                          "write": In(write_layout(config)), "write_enable": In(1)})

    def elaborate(self, platform):
        m = Module()
        config, count = self._config, self._config.ccpes
        low, lines = exact_log2(count), exact_log2(config.buffer_lines)
        read, write = self.read, self.write
        # An odd number is its own inverse modulo 2, 4 and 8.
        step, first = Signal(low), Signal(low)
        m.d.comb += [step.eq(Mux(read.transposed, read.stride[:low], 1)),
                     first.eq(read.address[:low] + Mux(read.transposed, read.word, 0))]
        outputs, kept = [], Signal(data.StructLayout({"step": low, "first": low}))
        with m.If(self.read_enable):
            m.d.sync += [kept.step.eq(step), kept.first.eq(first)]
        for n, memory in enumerate(self.memories):
            m.submodules[f"words_{n}"] = memory
            port_in, port_out = memory.write_port(granularity=8 * TILE), memory.read_port()
            word, source = Signal(low, name=f"word_{n}"), Signal(low, name=f"source_{n}")
            m.d.comb += [word.eq((n - first) * step), source.eq(n - write.address[:low]),
                         port_out.en.eq(self.read_enable),
                         port_out.addr.eq((read.address + Mux(read.transposed, word * read.stride, 0))[:lines]),
                         port_in.addr.eq(write.address[:lines]), port_in.data.eq(write.line[source]),
                         port_in.en.eq(Mux(self.write_enable, write.mask.word_select(source, TILE), 0))]
            outputs.append(port_out.data)
        memories = Signal(line_shape(config))
        m.d.comb += memories.as_value().eq(Cat(outputs))
        for c in range(count):
            m.d.comb += self.line[c].eq(memories[(kept.first + c * kept.step)[:low]])
        return m
