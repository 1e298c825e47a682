# SPDX-License-Identifier: Apache-2.0
"""Vector engine: one instruction becomes the streams of the vector unit, from buffer lines to buffer lines."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.config import MachineConfig
from hw.control.fork import fork
from hw.control.queue import RegisterQueue
from hw.memory.lines import line_shape, read_layout, write_layout
from hw.memory.operands import AHEAD
from hw.memory.walker import OutsideLayout, join_outside
from hw.vector.feeder import VECTOR, RowReader, RowWriter
from hw.vector.operations import GROUP_MAX, Command, Op
from hw.vector.unit import VectorUnit

#: Read clients of the buffer in the order of the engine's ports, with the bits of an element at the unit.
READERS = {"x": 32, "y": 16, "u": 32, "v": 16}


class VectorEngine(Component):
    """The vector unit with its readers and its writer.

    Readers run ahead, over the end of an instruction too, so an instruction must not read what one before it in this
    unit writes unless a semaphore orders them. A row is read before it is written: `out` may be `y`.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    command : In(stream of VECTOR instructions)
        Checked ones.
    request, data : buffer read ports, in the order of `READERS`
    write : buffer write port
    done : Out(1)
        An instruction is complete; they complete in order.
    outside : Out(OutsideLayout)
        A line that an instruction reads or writes is not there; the unit waits for its reset.

    Latency: 5 cycles from an instruction to its first request. Throughput and numerics: as `VectorUnit`.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({
            "command": In(stream.Signature(VECTOR)),
            "request": Out(stream.Signature(read_layout(config))).array(len(READERS)),
            "data": In(stream.Signature(line_shape(config))).array(len(READERS)),
            "write": Out(stream.Signature(write_layout(config))), "done": Out(1), "outside": Out(OutsideLayout)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = VectorUnit(self._config)
        m.submodules.commands = commands = RegisterQueue(Command, AHEAD)
        m.submodules.writer = writer = RowWriter(self._config)
        readers = []
        for n, (name, bits) in enumerate(READERS.items()):
            m.submodules[f"{name}_reader"] = reader = RowReader(self._config, name, bits)
            connect(m, reader.request, flipped(self.request[n]))
            connect(m, flipped(self.data[n]), reader.data)
            stream_of = getattr(unit, name)
            m.d.comb += [stream_of.valid.eq(reader.o.valid), stream_of.payload.eq(reader.o.payload),
                         reader.o.ready.eq(stream_of.ready)]
            readers.append(reader)
        connect(m, commands.o, unit.command)
        connect(m, unit.o, writer.i)
        connect(m, writer.write, flipped(self.write))
        join_outside(m, [part.outside for part in (*readers, writer)], self.outside)
        p, command = self.command.p, commands.i.p
        fork(m, self.command, [*(reader.command for reader in readers), writer.command, commands.i])
        m.d.comb += [part.command.payload.eq(p) for part in (*readers, writer)]
        same = ("cols", "rows", "epsilon", "multiplier", "shift", "shift2", "sums")
        m.d.comb += [command[name].eq(p[name]) for name in same]
        m.d.comb += [command.op.eq(Op(p.op[:3])), command.group.eq(GROUP_MAX - 1), command.threshold.eq(p.epsilon),
                     self.done.eq(writer.done)]
        return m
