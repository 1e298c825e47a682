# SPDX-License-Identifier: Apache-2.0
"""Between the buffer's lines and the vector unit's beats: a reader for each operand, a writer for the result."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, MachineConfig
from hw.control.isa import Opcode, layout
from hw.control.queue import RegisterQueue
from hw.memory.buffer import LINES_AHEAD
from hw.memory.lines import write_layout
from hw.memory.operands import AHEAD, kept, part_of, reader_ports
from hw.memory.walker import OutsideLayout
from hw.vector.operations import STREAMS, TWICE, Op, output_layout
from hw.vector.rows import RowWalker, slice_layout

#: What readers and writer are handed; they keep the fields of their operand.
VECTOR = layout(Opcode.VECTOR)
#: How often its rows are walked, and where they lie.
_ROWS = ("op", "rows", "cols", "inner", "inner_stride", "outer_stride")
#: Bytes of an element of each operand that is a matrix.
WIDTHS: dict[str, dict[Op, int]] = {
    "x": {Op.REQUANTISE16: 2, Op.LAYERNORM: 2, Op.SOFTMAX: 4, Op.NORMALISE: 4, Op.GELU: 4, Op.RESIDUAL: 4, Op.SNAP: 1},
    "y": {Op.RESIDUAL: 2, Op.SNAP: 1},
    "out": {op: 2 if op is Op.RESIDUAL else 1 for op in STREAMS}}


def uses(name: str, op) -> Cat:
    """Whether an operation takes operand `name`."""
    return Cat(op == one.value for one, streams in STREAMS.items() if name in "x" + streams).any()


def fields_of(name: str) -> data.StructLayout:
    """What concerns the walk over operand `name`."""
    own = [f"{name}_pitch", f"{name}_mapped"] if name in WIDTHS else []
    return part_of(VECTOR, *_ROWS, name, *own, *(["x_transposed"] if name == "x" else []))


def set_rows(m: Module, name: str, p, walker: RowWalker) -> None:
    """The walk over an operand: a matrix by rows, or a row of parameters again and again."""
    walk = walker.command.p
    m.d.comb += [walk[field].eq(p[field]) for field in _ROWS[1:]]
    m.d.comb += [walk.address.eq(p[name])]
    if name not in WIDTHS:
        m.d.comb += [walk.same.eq(1), walk.width.eq(1)]
        return
    widths = WIDTHS[name]
    m.d.comb += [walk.pitch.eq(p[f"{name}_pitch"]), walk.mapped.eq(p[f"{name}_mapped"]),
                 walk.width.eq(Cat(Cat(p.op == op.value for op in widths if widths[op] == width).any()
                                   if width in widths.values() else Const(0, 1) for width in (1, 2, 4)))]
    if name == "x":
        m.d.comb += walk.transposed.eq(p.x_transposed)
        m.d.comb += walk.twice.eq(Cat(p.op == op.value for op in TWICE).any())


class RowReader(Component):
    """Feed one stream of the vector unit: slices of lines, widened, in beats of `lanes` elements.

    Parameters
    ----------
    config : MachineConfig
    name : str
        "x", "y", "u" or "v": the instruction's operand.
    bits : int
        Of an element of a beat; a wider one loses its upper bits.

    Members
    -------
    command : In(stream of VECTOR instructions)
        Those that do not use the operand are passed over.
    request, data : buffer read port
    o : Out(stream of beats)
    outside : Out(OutsideLayout)
        As in `Walker`.

    Latency: 3 cycles from a command to its first request. Throughput: a beat a cycle while lines come.
    """

    def __init__(self, config: MachineConfig, name: str, bits: int) -> None:
        self._config, self._name, self._bits = config, name, bits
        beat = data.StructLayout({"value": data.ArrayLayout(signed(bits), config.lanes)})
        super().__init__({"command": In(stream.Signature(VECTOR)), "o": Out(stream.Signature(beat)),
                          "outside": Out(OutsideLayout), **reader_ports(config)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = RegisterQueue(fields_of(self._name), AHEAD)
        m.submodules.walker = walker = RowWalker(self._config)
        m.submodules.asked = asked = RegisterQueue(slice_layout(self._config), LINES_AHEAD + 1)
        command, wanted = queue.o, uses(self._name, queue.o.p.op)
        m.d.comb += [*kept(self.command.p, queue.i.p), queue.i.valid.eq(self.command.valid),
                     self.command.ready.eq(queue.i.ready), walker.command.valid.eq(command.valid & wanted),
                     command.ready.eq(walker.command.ready | ~wanted)]
        set_rows(m, self._name, command.p, walker)
        m.d.comb += self.outside.eq(walker.outside)
        place, request = walker.o.p, self.request.p
        m.d.comb += [request[name].eq(place[name]) for name in ("address", "transposed", "word", "stride")]
        m.d.comb += [self.request.valid.eq(walker.o.valid & asked.i.ready),
                     walker.o.ready.eq(self.request.ready & asked.i.ready), asked.i.payload.eq(walker.o.payload),
                     asked.i.valid.eq(walker.o.valid & self.request.ready)]
        part, last, which = Signal.like(asked.o.p.beats), Signal(), asked.o.p
        early = which.transposed & (which.part != TILE - 1)      # a part of a slice that is not whole yet
        m.d.comb += [last.eq(early | (part == which.beats)), self.o.valid.eq(self.data.valid & asked.o.valid & ~early),
                     self.data.ready.eq(asked.o.valid & (self.o.ready | early) & last),
                     asked.o.ready.eq(self.data.valid & (self.o.ready | early) & last)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += part.eq(Mux(last, 0, part + 1))
        self._elements(m, which, part, self._gather(m, which) if self._name == "x" else None)
        return m

    def _gather(self, m: Module, which) -> list:
        """The elements of a transposed slice: of each part one of every word, the parts before the last kept."""
        now = [word.word_select(which.row, 32) for word in self.data.p]
        kept = [[Signal(32, name=f"kept_{part}_{c}") for c in range(len(now))] for part in range(TILE - 1)]
        with m.If(self.data.valid & self.data.ready):
            for part, row in enumerate(kept):
                with m.If(which.part == part):
                    m.d.sync += [keep.eq(value) for keep, value in zip(row, now, strict=True)]
        rows = [*kept, now]
        return [rows[column % TILE][column // TILE].as_signed() for column in range(self._config.columns)]

    def _elements(self, m: Module, which, part, turned) -> None:
        """Of the line at hand: the row's slice by its width, then the beat's elements."""
        widths = set(WIDTHS[self._name].values()) if self._name in WIDTHS else {4}
        elements = []
        for column in range(self._config.columns):
            word, q = self.data.p[column // TILE], column % TILE
            forms = {4: word.word_select(q, 32).as_signed(),
                     2: word.word_select((which.row[0] << 2) + q, 16).as_signed(),
                     1: word.word_select((which.row << 2) + q, 8).as_signed()}
            element = Signal(signed(32), name=f"element_{column}")
            for n, width in enumerate((1, 2, 4)):
                if width in widths:
                    chosen = which.width[n] if len(widths) > 1 else 1
                    with m.If(chosen):
                        m.d.comb += element.eq(forms[width])
            if turned is not None:
                with m.If(which.transposed):
                    m.d.comb += element.eq(turned[column])
            elements.append(element)
        lanes = self._config.lanes
        with m.Switch(part):
            for n in range(self._config.columns // lanes):
                with m.Case(n):
                    m.d.comb += [self.o.p.value[i].eq(elements[n * lanes + i]) for i in range(lanes)]


class RowWriter(Component):
    """Write the vector unit's beats where they belong: parts of rows of int8 or int16 tiles.

    Elements beyond the last column, up to the end of a beat, are written too.

    Parameters
    ----------
    config : MachineConfig
        A beat has a multiple of four elements.

    Members
    -------
    command : In(stream of VECTOR instructions)
    i : In(stream of result beats)
    write : Out(stream of write requests)
    done : Out(1)
        An instruction is complete: its last beat is accepted by the buffer.
    outside : Out(OutsideLayout)
        As in `Walker`.

    Latency: a beat is offered to the buffer in the cycle in which it comes. Throughput: a beat a cycle.
    """

    def __init__(self, config: MachineConfig) -> None:
        if config.lanes % TILE:
            raise ValueError(f"lanes is {config.lanes}, must be a multiple of {TILE}")
        self._config = config
        super().__init__({"command": In(stream.Signature(VECTOR)), "i": In(stream.Signature(output_layout(config))),
                          "write": Out(stream.Signature(write_layout(config))), "done": Out(1),
                          "outside": Out(OutsideLayout)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = RegisterQueue(fields_of("out"), AHEAD)
        m.submodules.walker = walker = RowWalker(self._config)
        m.d.comb += [*kept(self.command.p, queue.i.p), queue.i.valid.eq(self.command.valid),
                     self.command.ready.eq(queue.i.ready), walker.command.valid.eq(queue.o.valid),
                     queue.o.ready.eq(walker.command.ready)]
        set_rows(m, "out", queue.o.p, walker)
        m.d.comb += self.outside.eq(walker.outside)
        place, write, part = walker.o.p, self.write, Signal.like(walker.o.p.beats)
        last = part == place.beats
        m.d.comb += [write.valid.eq(self.i.valid & walker.o.valid), self.i.ready.eq(write.ready & walker.o.valid),
                     walker.o.ready.eq(write.ready & self.i.valid & last), write.p.address.eq(place.address),
                     self.done.eq(write.valid & write.ready & last & place.end)]
        with m.If(write.valid & write.ready):
            m.d.sync += part.eq(Mux(last, 0, part + 1))
        words = self._config.lanes // TILE
        for c, word in enumerate(write.p.line):
            four = [self.i.p.value[(c % words) * TILE + q] for q in range(TILE)]
            narrow, wide = Cat(value[:8] for value in four), Cat(four)
            here = part == c // words
            groups = Mux(place.width[1], Mux(place.row[0], 0b1100, 0b0011), 1 << place.row)
            m.d.comb += [word.eq(Mux(place.width[1], Cat(wide, wide), narrow.replicate(TILE))),
                         write.p.mask.word_select(c, TILE).eq(Mux(here, groups, 0))]
        return m
