# SPDX-License-Identifier: Apache-2.0
"""Loaders of a matmul's operands: lines of the global buffer become the group's left and right streams."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import TILE, Lane, MachineConfig
from hw.control.fork import fork
from hw.control.isa import Opcode, layout
from hw.control.queue import RegisterQueue
from hw.memory.lines import line_shape, read_layout
from hw.memory.walker import COUNT_BITS, OutsideLayout, Walker, join_outside
from hw.payloads import left_layout, native_layout, right_layout

#: Commands that a loader takes ahead of the one it works on.
AHEAD = 2


#: What every part of a matmul unit is handed; it keeps the fields that concern it.
MATMUL = layout(Opcode.MATMUL)


def part_of(instruction: data.StructLayout, *names: str) -> data.StructLayout:
    """Fields of an instruction: the others need no registers."""
    return data.StructLayout({name: instruction[name].shape for name in names})


def kept(given, part) -> list:
    """Statements: `part`, a signal of such a layout, has the fields that an instruction gives."""
    return [part[name].eq(given[name]) for name, _field in part.shape()]


def steps(extent, each: int):
    """How many times `each`, a power of two, goes into an extent of at least 1, rounded up."""
    return ((extent - 1)[:COUNT_BITS] >> exact_log2(each)) + 1


def loops(config: MachineConfig, p) -> tuple:
    """Column tiles and panels of an instruction: the two outer loops of everything that a matmul reads or writes."""
    return steps(p.cols, config.columns), steps(p.rows, TILE)


def set_walk(m: Module, walker: Walker, source, counts, strides, wanted=1, **fields) -> None:
    """The walker's next command, one for each of the stream `source`; those that are not `wanted` are passed over."""
    walk = walker.command.p
    m.d.comb += [walker.command.valid.eq(source.valid & wanted), source.ready.eq(walker.command.ready | ~wanted)]
    m.d.comb += [walk.count[n].eq(count) for n, count in enumerate(counts)]
    m.d.comb += [walk.stride[n].eq(stride) for n, stride in enumerate(strides)]
    m.d.comb += [walk[name].eq(value) for name, value in fields.items()]


def reader_ports(config: MachineConfig) -> dict:
    """A client's side of one of the buffer's read ports."""
    return {"request": Out(stream.Signature(read_layout(config))), "data": In(stream.Signature(line_shape(config)))}


def ask(m: Module, walker: Walker, request) -> None:
    """Every place of the walker becomes a read."""
    place = walker.place.p
    m.d.comb += [request.valid.eq(walker.place.valid), walker.place.ready.eq(request.ready),
                 request.p.address.eq(place.address), request.p.transposed.eq(place.transposed),
                 request.p.word.eq(place.word), request.p.stride.eq(place.pitch)]


def byte(line, word, place):
    """Byte `place` of a word of a line."""
    return line[word].word_select(place, 8).as_signed()


class LeftLoader(Component):
    """Feed a group with its left operand: for each column tile every panel, from columns 0 to K - 1.

    Parameters
    ----------
    config : MachineConfig
        The group takes `scan` (native: `depth`) columns a beat, which must divide 4 x CCPEs.

    Members
    -------
    command : In(stream of MATMUL instructions)
    current, reference : buffer read ports
        The reference is read only where the instruction has one.
    left : Out(stream of left beats, or of native beats)
    outside : Out(OutsideLayout)
        As in `Walker`.

    Latency: 2 cycles from a command to its first request. Throughput: a beat a cycle while lines come.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config, self._digits = config, config.lane is Lane.DIGIT
        self._columns = config.scan if self._digits else config.depth
        if config.columns % self._columns:
            raise ValueError(f"a left beat has {self._columns} columns, must divide 4 x CCPEs = {config.columns}")
        left = left_layout(config) if self._digits else native_layout(config)
        super().__init__({"command": In(stream.Signature(MATMUL)),
                          "left": Out(stream.Signature(left)), "outside": Out(OutsideLayout)}
                         | {f"current_{name}": port for name, port in reader_ports(config).items()}
                         | {f"reference_{name}": port for name, port in reader_ports(config).items()})

    def elaborate(self, platform):
        m = Module()
        common, queues = ("rows", "cols", "k", "left_word"), {}
        fields = {"current": ("current", "left_pitch"), "reference": ("reference", "left_pitch", "use_reference"),
                  "beats": ("use_reference", "skip")}
        for side, own in fields.items():
            m.submodules[f"{side}_queue"] = queues[side] = RegisterQueue(part_of(MATMUL, *common, *own), AHEAD)
            m.d.comb += kept(self.command.p, queues[side].i.p)
        fork(m, self.command, [queue.i for queue in queues.values()])
        walkers = [self._walk(m, side, queues[side].o) for side in ("current", "reference")]
        join_outside(m, [walker.outside for walker in walkers], self.outside)
        self._send(m, queues["beats"].o)
        return m

    def _walk(self, m: Module, side: str, command) -> Walker:
        m.submodules[side] = walker = Walker(self._config, 3)
        p, wanted = command.p, command.p.use_reference if side == "reference" else 1
        set_walk(m, walker, command,
                 (*loops(self._config, p), steps(p.k + TILE * p.left_word, self._config.columns)),
                 (0, p.left_pitch, 1), wanted, address=p[side])
        ask(m, walker, getattr(self, f"{side}_request"))
        return walker

    def _send(self, m: Module, command) -> None:
        """Beats of one line after the other; a panel ends within a line."""
        config, each = self._config, self._columns
        m.submodules.beats = beats = Walker(config, 3)
        now = Signal(part_of(MATMUL, "k", "left_word", "use_reference", "skip"))
        set_walk(m, beats, command, (*loops(config, command.p), steps(command.p.k, each)), ())
        with m.If(command.valid & command.ready):
            m.d.sync += kept(command.p, now)

        parts = config.columns // each
        part, first, last, whole = Signal(range(max(2, parts))), Signal(range(max(2, parts))), Signal(), Signal()
        differs, goes = now.use_reference, beats.place.valid & self.left.ready
        both = self.current_data.valid & (self.reference_data.valid | ~differs)
        m.d.comb += [first.eq(now.left_word * TILE // each), last.eq(beats.place.p.end[-1]),
                     whole.eq(last | (part == parts - 1)), self.left.p.last.eq(last),
                     self.left.valid.eq(beats.place.valid & both), beats.place.ready.eq(self.left.ready & both),
                     self.current_data.ready.eq(goes & whole & (self.reference_data.valid | ~differs)),
                     self.reference_data.ready.eq(goes & whole & self.current_data.valid & differs)]
        with m.If(beats.command.valid & beats.command.ready):
            m.d.sync += part.eq(command.p.left_word * TILE // each)
        with m.Elif(goes & both):
            m.d.sync += part.eq(Mux(last, first, Mux(whole, 0, part + 1)))
        current = self._columns_of(m, self.current_data.p, part, parts)
        count = (now.k - 1)[:exact_log2(each)] + 1
        if not self._digits:
            # The right slot holds old rows behind row K - 1.
            for n, column in enumerate(data.View(data.ArrayLayout(8 * TILE, each), current)):
                m.d.comb += self.left.p.value[n].as_value().eq(Mux(last & (count <= n), 0, column))
            return
        reference = self._columns_of(m, self.reference_data.p, part, parts)
        m.d.comb += [self.left.p.current.eq(current), self.left.p.reference.eq(Mux(now.use_reference, reference, 0)),
                     self.left.p.skip.eq(now.skip),
                     self.left.p.count.eq(Mux(last, count, each))]

    def _columns_of(self, m: Module, line, part, parts: int):
        """The columns of one beat, four rows each."""
        each, shape = self._columns, data.ArrayLayout(8, TILE)
        chosen = Signal(data.ArrayLayout(shape, each))
        with m.Switch(part):
            for n in range(parts):
                with m.Case(n):
                    for i in range(each):
                        word, column = divmod(n * each + i, TILE)
                        m.d.comb += [chosen[i][r].eq(byte(line, word, TILE * r + column)) for r in range(TILE)]
        return chosen.as_value()


class RightLoader(Component):
    """Feed a group's right store: for each column tile rows 0 to K - 1, one a beat.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    command : In(stream of MATMUL instructions)
    request, data : buffer read port
    right : Out(stream of right rows)
    outside : Out(OutsideLayout)
        As in `Walker`.

    Latency: 2 cycles from a command to its first request. Throughput: a row a cycle while lines come.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({"command": In(stream.Signature(MATMUL)),
                          "right": Out(stream.Signature(right_layout(config))), "outside": Out(OutsideLayout),
                          **reader_ports(config)})

    def elaborate(self, platform):
        m = Module()
        common = "cols", "k", "right_transposed"
        walk = part_of(MATMUL, *common, "right", "right_pitch", "right_word")
        m.submodules.walk_queue = places = RegisterQueue(walk, AHEAD)
        m.submodules.row_queue = rows = RegisterQueue(part_of(MATMUL, *common), AHEAD)
        m.d.comb += [*kept(self.command.p, places.i.p), *kept(self.command.p, rows.i.p)]
        fork(m, self.command, [places.i, rows.i])
        self._walk(m, places.o)
        self._send(m, rows.o)
        return m

    def _walk(self, m: Module, command) -> None:
        m.submodules.walker = walker = Walker(self._config, 2, worded=1)
        p, turned = command.p, command.p.right_transposed
        set_walk(m, walker, command, (steps(p.cols, self._config.columns), steps(p.k, TILE)),
                 (Mux(turned, p.right_pitch << exact_log2(self._config.ccpes), 1), Mux(turned, 1, p.right_pitch)),
                 address=p.right, transposed=turned, word=p.right_word, pitch=p.right_pitch)
        ask(m, walker, self.request)
        m.d.comb += self.outside.eq(walker.outside)

    def _send(self, m: Module, command) -> None:
        m.submodules.rows = rows = Walker(self._config, 2)
        p, transposed = command.p, Signal()
        set_walk(m, rows, command, (steps(p.cols, self._config.columns), p.k), ())
        with m.If(command.valid & command.ready):
            m.d.sync += transposed.eq(p.right_transposed)
        row, last, line = Signal(range(TILE)), Signal(), self.data.p
        m.d.comb += [last.eq(rows.place.p.end[-1]), self.right.valid.eq(rows.place.valid & self.data.valid),
                     self.right.p.last.eq(last), rows.place.ready.eq(self.right.ready & self.data.valid),
                     self.data.ready.eq(rows.place.valid & self.right.ready & (last | (row == TILE - 1)))]
        with m.If(self.right.valid & self.right.ready):
            m.d.sync += row.eq(Mux(last, 0, row + 1))
        for column in range(self._config.columns):
            word, q = divmod(column, TILE)
            straight = Array(byte(line, word, TILE * r + q) for r in range(TILE))[row]
            turned = Array(byte(line, word, TILE * q + r) for r in range(TILE))[row]
            m.d.comb += self.right.p.value[column].eq(Mux(transposed, turned, straight))
