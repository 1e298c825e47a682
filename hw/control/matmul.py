# SPDX-License-Identifier: Apache-2.0
"""Matmul unit: one instruction becomes the streams of a group, from buffer lines to buffer lines."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.compute.group import Group
from hw.config import MachineConfig
from hw.control.counters import CounterValues
from hw.control.fork import fork
from hw.control.jobs import JobIssuer
from hw.memory.lines import line_shape, read_layout, write_layout
from hw.memory.operands import MATMUL, LeftLoader, RightLoader
from hw.memory.result_writer import SIDES, ResultWriter
from hw.memory.tiles import InitLoader, ScaleLoader
from hw.memory.walker import OutsideLayout, join_outside
from hw.payloads import Init

#: Read clients of the buffer, in the order of the unit's ports.
READERS = ("current", "reference", "right", "init", "scale")


class MatmulUnit(Component):
    """A group with its loaders and its writer: (M, N) = init + (current - reference) @ right.

    Column tiles are outermost, panels of four rows inside: a right slot stays while all panels pass. Loaders run ahead
    of the array, over the end of an instruction too, so an instruction must not read what one before it in this unit
    writes unless a semaphore orders them.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    command : In(stream of MATMUL instructions)
        Checked ones: sizes of at least 1, K of at most right_rows.
    request, data : buffer read ports, in the order of `READERS`
    write : buffer write ports, in the order of `SIDES`
    done : Out(1)
        An instruction is complete; they complete in order.
    outside : Out(OutsideLayout)
        A line that an instruction reads or writes is not there; the unit waits for its reset.
    clear : In(1), counters : Out(CounterValues)
        As in `Group`.

    Latency: 5 cycles from an instruction to its first request. Throughput: as the group's, while lines come.
    Numerics: as the group's; accumulators are sign-extended to int32.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({
            "command": In(stream.Signature(MATMUL)),
            "request": Out(stream.Signature(read_layout(config))).array(len(READERS)),
            "data": In(stream.Signature(line_shape(config))).array(len(READERS)),
            "write": Out(stream.Signature(write_layout(config))).array(len(SIDES)),
            "done": Out(1), "outside": Out(OutsideLayout), "clear": In(1), "counters": Out(CounterValues)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.group = group = Group(config)
        m.submodules.left = left = LeftLoader(config)
        m.submodules.right = right = RightLoader(config)
        m.submodules.init = init = InitLoader(config)
        m.submodules.scale = scale = ScaleLoader(config)
        m.submodules.jobs = jobs = JobIssuer(config)
        m.submodules.writer = writer = ResultWriter(config)
        for name, loader in (("left", left), ("right", right), ("init", init), ("scale", scale), ("job", jobs)):
            connect(m, getattr(loader, name), getattr(group, name))
        connect(m, group.accumulators, writer.accumulators)
        connect(m, group.int8, writer.int8)
        ports = ((left, "current_"), (left, "reference_"), (right, ""), (init, ""), (scale, ""))
        for n, (loader, prefix) in enumerate(ports):
            connect(m, getattr(loader, f"{prefix}request"), flipped(self.request[n]))
            connect(m, flipped(self.data[n]), getattr(loader, f"{prefix}data"))
        for n, name in enumerate(SIDES):
            connect(m, getattr(writer, f"{name}_write"), flipped(self.write[n]))
        join_outside(m, [part.outside for part in (left, right, init, scale, writer)], self.outside)
        m.d.comb += [self.done.eq(writer.done), group.clear.eq(self.clear), self.counters.eq(group.counters)]
        p = self.command.p
        kind, loaded = Init(p.init), Signal()
        m.d.comb += loaded.eq((kind == Init.BIAS) | (kind == Init.TILE))
        parts = {left: 1, right: 1, jobs: 1, writer: 1, init: loaded, scale: p.emit_int8}
        m.d.comb += [part.command.payload.eq(p) for part in parts]
        fork(m, self.command, [part.command for part in parts], list(parts.values()))
        return m
