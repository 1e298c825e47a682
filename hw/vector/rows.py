# SPDX-License-Identifier: Apache-2.0
"""Row walker: the lines of a matrix, row after row, as a vector instruction reads or writes it."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.config import TILE, MachineConfig
from hw.memory.lines import PITCH_BITS, address_shape
from hw.memory.walker import OutsideLayout, reach_shape
from hw.vector.operations import GROUP_MAX


def rows_layout(config: MachineConfig) -> data.StructLayout:
    """A matrix by rows.

    `width`: lines of a slice's tile, one-hot (1 int8, 2 int16, 4 int32). Row i is number i, or where `mapped` number
    i % inner x inner_stride + i / inner x outer_stride. `twice`: groups of `GROUP_MAX` rows are passed two times.
    `same`: every row is the first, a line a slice. `transposed` (int32): the matrix in memory is the transpose.
    """
    return data.StructLayout({
        "address": address_shape(config), "pitch": PITCH_BITS, "width": 3, "rows": 16, "cols": 16, "mapped": 1,
        "inner": 16, "inner_stride": 16, "outer_stride": 16, "twice": 1, "same": 1, "transposed": 1})


def slice_layout(config: MachineConfig) -> data.StructLayout:
    """A slice: line, row within the tile, beats of `lanes` elements less one, and whether it is the walk's last.

    A transposed one comes in `TILE` parts: part r holds columns r, r + 4, ... of four rows, word `word` of CCPEs lines.
    """
    return data.StructLayout({"address": address_shape(config), "row": range(TILE), "width": 3,
                              "beats": range(max(2, config.columns // config.lanes)), "end": 1, "transposed": 1,
                              "word": exact_log2(config.ccpes), "stride": PITCH_BITS, "part": range(TILE)})


class RowWalker(Component):
    """Give every slice of every row, 4 x CCPEs columns each.

    A slice outside the buffer, or a transposed one whose lines lie in two banks, or of a row of number 65536 or above,
    is not given, and none after it.

    Parameters
    ----------
    config : MachineConfig
        Uses lanes, ccpes, buffers, buffer_lines.

    Members
    -------
    command : In(stream of rows)
    o : Out(stream of slices)
    outside : Out(OutsideLayout)
        The next slice's line, where that is outside. Stays until reset.

    Latency: 1 cycle. Throughput: a slice, or a part of one, a cycle; a cycle lost between two walks.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({"command": In(stream.Signature(rows_layout(config))),
                          "o": Out(stream.Signature(slice_layout(config))), "outside": Out(OutsideLayout)})

    def elaborate(self, platform):
        m = Module()
        walk, active = Signal(rows_layout(self._config)), Signal()
        # Where a row is: its number, its place within `inner`, the number with which `inner` began, rows from it on.
        # The first number above 65535 ends the walk: one more bit holds it.
        place = data.StructLayout({"row": 17, "inside": 16, "began": 17, "left": 16})
        here, after, group = (Signal(place, name=name) for name in ("here", "after", "group"))
        # Of the row: columns left, lines passed.
        cols, offset, part = Signal(16), Signal(reach_shape(self._config)), Signal(range(TILE))
        last = {name: Signal(name=f"last_{name}") for name in ("slice", "row", "pass")}
        whole = ~walk.transposed | (part == TILE - 1)
        m.d.comb += [last["slice"].eq((cols <= self._config.columns) & whole), last["row"].eq(after.left == 0)]
        self._passes(m, walk, here, after, group, last)
        self._slice(m, walk, active, here, cols, offset, part)
        step = Signal()
        m.d.comb += [self.o.valid.eq(active & ~self.outside.valid), self.command.ready.eq(~active),
                     step.eq(self.o.valid & self.o.ready),
                     self.o.p.end.eq(last["slice"] & last["row"] & last["pass"])]
        with m.If(step):
            with m.If(whole):
                across = Mux(walk.transposed, walk.pitch << exact_log2(self._config.ccpes), walk.width)
                m.d.sync += [cols.eq(cols - self._config.columns), offset.eq(offset + across), part.eq(0)]
            with m.Else():
                m.d.sync += part.eq(part + 1)
            with m.If(last["slice"]):
                m.d.sync += [cols.eq(walk.cols), offset.eq(0)]
            with m.If(self.o.p.end):
                m.d.sync += active.eq(0)
        with m.If(self.command.valid & self.command.ready):
            start = self.command.p
            m.d.sync += [walk.eq(start), active.eq(1), cols.eq(start.cols), offset.eq(0), here.eq(0), group.eq(0),
                         here.left.eq(start.rows), group.left.eq(start.rows)]
        return m

    def _passes(self, m: Module, walk, here, after, group, last) -> None:
        """From a row to the next, or back to the first row of its group."""
        second, count, back = Signal(), Signal(range(GROUP_MAX)), Signal()
        wraps = Signal()
        m.d.comb += [
            wraps.eq(walk.mapped & (here.inside == walk.inner - 1)), after.left.eq(here.left - 1),
            after.inside.eq(Mux(wraps, 0, here.inside + 1)),
            after.began.eq(Mux(wraps, here.began + walk.outer_stride, here.began)),
            after.row.eq(Mux(wraps, after.began, here.row + Mux(walk.mapped, walk.inner_stride, 1))),
            last["pass"].eq(second | ~walk.twice),
            back.eq(walk.twice & ~second & (last["row"] | (count == GROUP_MAX - 1)))]
        with m.If(self.o.valid & self.o.ready & last["slice"]):
            m.d.sync += [here.eq(Mux(back, group, after)), count.eq(count + 1)]
            with m.If(back):
                m.d.sync += [second.eq(1), count.eq(0)]
            with m.Elif(second & (last["row"] | (count == GROUP_MAX - 1))):
                m.d.sync += [second.eq(0), count.eq(0), group.eq(after)]
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [second.eq(0), count.eq(0)]

    def _slice(self, m: Module, walk, active, here, cols, offset, part) -> None:
        """The line of this slice: tile row, slice, and the row's line within the tile; or where its columns begin."""
        config, o, row = self._config, self.o.p, here.row[:16]
        columns, lanes = config.columns, config.lanes
        inside = Mux(walk.width[2], row[:2], Mux(walk.width[1], row[1:2], 0))
        down = (row >> exact_log2(TILE)) * walk.pitch
        turned = ((row >> exact_log2(columns)) << exact_log2(TILE)) + part
        line, low = Signal(32), exact_log2(config.buffer_lines)
        last = line + walk.pitch * (config.ccpes - 1)
        m.d.comb += [
            line.eq(walk.address + offset + Mux(walk.transposed, turned, Mux(walk.same, 0, down + inside))),
            self.outside.line.eq(line),
            self.outside.valid.eq(active & (here.row[16] | (line >= config.buffers * config.buffer_lines)
                                            | (walk.transposed & (last >> low != line >> low)))),
            o.address.eq(line), o.row.eq(row), o.width.eq(walk.width), o.transposed.eq(walk.transposed),
            o.part.eq(part), o.word.eq(row >> exact_log2(TILE)), o.stride.eq(walk.pitch)]
        if columns > lanes:
            m.d.comb += o.beats.eq(Mux(cols < columns, (cols - 1) >> ceil_log2(lanes), columns // lanes - 1))
