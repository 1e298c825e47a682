# SPDX-License-Identifier: Apache-2.0
"""Sequence of the vector unit: commands, readings of rows, and which beat stands in which stage."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.vector.lane import VectorLane
from hw.vector.operations import STREAMS, TWICE, Command, Op, among

#: A beat: that there is one, of a row's first reading of two, the last one of its row.
Beat = data.StructLayout({"valid": 1, "first": 1, "last": 1})


class VectorControl(Component):
    """Count the beats of a command in, and follow them through the stages.

    Parameters
    ----------
    lanes : int
        Elements of a beat.

    Members
    -------
    command : In(stream of Command), current : Out(Command)
        Next command, and the one under way, which stays until the next.
    have : In(array of 4), use : Out(array of 4)
        Which of x, y, u, v hold a beat, and which of them the next beat needs.
    row_ready : In(1)
        What a row's elements are scaled by is known; asked of second readings and of NORMALISE.
    take_row : Out(1)
        The beat that enters is the last that needs it.
    advance : In(1)
        The stages move.
    enter : Out(1)
        A beat enters stage 1.
    beat : Out(array of Beat)
        By stage: 0 is the beat that may enter.
    tail : Out(lanes)
        Lanes that count in a row's last beat.
    started : Out(1)
        A command is taken in this cycle.
    busy : Out(1)
        A command is under way; stages need not move else.
    """

    #: Streams in the order of `have` and `use`.
    ORDER = "xyuv"

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        super().__init__({
            "command": In(stream.Signature(Command)), "current": Out(Command), "have": In(len(self.ORDER)),
            "use": Out(len(self.ORDER)), "row_ready": In(1), "take_row": Out(1), "advance": In(1), "enter": Out(1),
            "beat": Out(data.ArrayLayout(Beat, VectorLane.latency + 1)), "tail": Out(lanes), "started": Out(1),
            "busy": Out(1)})

    def elaborate(self, platform):
        m = Module()
        op = self.current.op
        running, first, last, twice, waits, under_way = (Signal(name=name) for name in (
            "running", "first", "last", "twice", "waits", "under_way"))
        stages = [Signal(Beat, name=f"beat_{n}") for n in range(VectorLane.latency + 1)]
        m.d.comb += [
            self.beat.eq(Cat(stages)), stages[0].eq(Cat(self.enter, first, last)), twice.eq(among(op, TWICE)),
            under_way.eq(Cat(stage.valid for stage in stages[1:]).any()), self.busy.eq(running | under_way),
            self.command.ready.eq(~self.busy),
            self.started.eq(self.command.valid & self.command.ready),
            waits.eq((op == Op.NORMALISE) | (twice & ~first)), self.take_row.eq(self.enter & waits & last),
            self.use.eq(Cat(1, *(among(op, [o for o in STREAMS if name in STREAMS[o]]) & ~first
                                 for name in self.ORDER[1:]))),
            self.enter.eq(running & self.advance & ~(self.use & ~self.have).any() & (self.row_ready | ~waits))]
        with m.If(self.advance):
            m.d.sync += [after.eq(before) for before, after in zip(stages, stages[1:])]
        with m.If(self.started):
            m.d.sync += [self.current.eq(self.command.payload), running.eq(1)]
        self._count(m, running, first, last, twice)
        return m

    def _count(self, m: Module, running: Signal, first: Signal, last: Signal, twice: Signal) -> None:
        """Elements left of a row, rows left of a reading, rows left behind the group that is read."""
        left, rows, size, behind = (Signal(16, name=name) for name in ("left", "rows", "size", "behind"))
        ends, load = Signal(), Signal()
        m.d.comb += [last.eq(left <= self._lanes), ends.eq(self.enter & last & (rows == 1)),
                     load.eq(self.started | (ends & ~first & (behind != 0)))]
        with m.If(self.enter):
            m.d.sync += left.eq(Mux(last, self.current.cols, left - self._lanes))
            with m.If(last):
                m.d.sync += [rows.eq(rows - 1), self.tail.eq(Cat(left > n for n in range(self._lanes)))]
        with m.If(ends):
            m.d.sync += rows.eq(size)
            with m.If(first):
                m.d.sync += first.eq(0)
            with m.Elif(behind == 0):
                m.d.sync += running.eq(0)
        given = Mux(self.started, self.command.p.as_value(), self.current.as_value())
        source = data.View(Command, given)
        again, pending, chosen = Signal(), Signal(16), Signal(16)
        m.d.comb += [again.eq(among(source.op, TWICE)), pending.eq(Mux(self.started, source.rows, behind)),
                     chosen.eq(Mux(again & (source.group < pending), source.group + 1, pending))]
        with m.If(load):
            m.d.sync += [first.eq(again), rows.eq(chosen), size.eq(chosen), behind.eq(pending - chosen)]
        with m.If(self.started):
            m.d.sync += left.eq(self.command.p.cols)
