# SPDX-License-Identifier: Apache-2.0
"""The vector unit: what a network does between its matrix products, over one stream of elements."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import ceil_log2

from hw.config import MachineConfig
from hw.control.isa import ROW_SUMS
from hw.vector.control import VectorControl
from hw.vector.lane import FACTOR_BITS, VectorLane
from hw.vector.operations import (
    GROUP_MAX,
    ROW_SUM_BITS,
    Command,
    Op,
    among,
    narrow_layout,
    output_layout,
    wide_layout,
)
from hw.vector.reduce import Reduce, add, larger
from hw.vector.row_queue import RowQueue
from hw.vector.row_scale import OFFSET_BITS, RowScale, RowScales
from hw.vector.variance import SQUARES_BITS, SUM_BITS, Moments

#: Places of the memories in which y, u and v wait for their elements.
_WAITING = 16


class VectorUnit(Component):
    """Softmax, LayerNorm, GELU, residual, snapping and requantisation of a matrix, row by row in beats.

    A row has ceil(cols / lanes) beats; elements beyond cols count for nothing and give anything. Beats follow one
    another in the order of rows. LayerNorm and softmax read every row twice, `group` + 1 rows (fewer at the end) first
    once and then all of them again: with group 0 each row by itself, with more the work between a row's two readings
    is hidden behind its neighbours. Only beats of second readings have u and v, and a result.

    Parameters
    ----------
    config : MachineConfig
        Uses lanes, acc_bits.

    Members
    -------
    command : In(stream of Command)
        Taken when the operation before has given its last result.
    x : In(stream of lanes x signed(32))
        Accumulators, int16 or int8; every operation.
    y : In(stream of lanes x signed(16))
        RESIDUAL: the stream; SNAP: the reference.
    u : In(stream of lanes x signed(32))
        Multipliers (12 bits) of the columns; LAYERNORM: the modulation's scale (16 bits).
    v : In(stream of lanes x signed(16))
        RESIDUAL: gate; LAYERNORM: the modulation's shift.
    o : Out(stream of lanes x signed(16) and `last`)
        int8 or int16 results; `last` with each row's last beat.

    Latency: 22 cycles from a beat's arrival to `o`. A second reading follows the last beat of its row's first one after
    `second_latency` cycles or more: log2(lanes) + 8 for softmax, + 37 for LayerNorm.
    Throughput: a beat a cycle; a command takes 22 cycles more than it has beats of x, where the rows of a group that
    follow one hide that row's `second_latency` (15 rows of 3 beats do), and 8 more for NORMALISE's first row.
    Numerics: the laws of `model/exact/vector/`, bit for bit (docs/numerics.md).
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        self._value_bits = max(FACTOR_BITS, config.acc_bits)
        self._control = VectorControl(config.lanes)
        self.latency = VectorLane.latency + 1
        summed = ceil_log2(config.lanes) + 1
        self.second_latency = {Op.SOFTMAX: VectorLane.SCALED + summed + RowQueue.latency,
                               Op.LAYERNORM: VectorLane.PRODUCT + summed + RowScales.latency_layernorm
                               + 2 * RowQueue.latency}
        super().__init__({
            "command": In(stream.Signature(Command)), "x": In(stream.Signature(wide_layout(config))),
            "y": In(stream.Signature(narrow_layout(config))), "u": In(stream.Signature(wide_layout(config))),
            "v": In(stream.Signature(narrow_layout(config))), "o": Out(stream.Signature(output_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = self._control
        lanes = [VectorLane(self._value_bits) for _ in range(self._config.lanes)]
        for n, lane in enumerate(lanes):
            m.submodules[f"lane_{n}"] = lane
        advance = Signal()
        out = control.beat[VectorLane.latency]
        m.d.comb += [advance.eq(control.busy & (~self.o.valid | self.o.ready)), control.advance.eq(advance),
                     self.o.valid.eq(out.valid & ~out.first), self.o.p.last.eq(out.last),
                     *(self.o.p.value[n].eq(lane.o) for n, lane in enumerate(lanes))]
        connect(m, flipped(self.command), control.command)
        x, y, u, v = (self._hold(m, n, getattr(self, name)) for n, name in enumerate(control.ORDER))
        rows = self._rows(m, lanes, advance)
        self._row_scale(m, lanes, rows, advance)
        a, b = self._wait(m, y, u, v, advance)
        for n, lane in enumerate(lanes):
            m.d.comb += [lane.x.eq(x.value[n]), lane.u.eq(u.value[n]), lane.a.eq(a[n]), lane.b.eq(b[n]),
                         lane.advance.eq(advance), lane.op.eq(control.current.op), lane.first.eq(control.beat[0].first),
                         lane.square.eq(control.beat[lane.LOOKED_UP].first),
                         lane.multiplier.eq(control.current.multiplier), lane.fraction.eq(self._fraction(control)),
                         lane.last_shift.eq(self._last_shift(control)), lane.threshold.eq(control.current.threshold)]
        return m

    def _hold(self, m: Module, index: int, port) -> Signal:
        """A beat of a stream, kept until it enters; so no stream's readiness depends on another's beat."""
        control, name = self._control, self._control.ORDER[index]
        held, full = Signal(port.payload.shape(), name=f"held_{name}"), Signal(name=f"full_{name}")
        m.d.comb += [control.have[index].eq(full), port.ready.eq(~full | (control.enter & control.use[index]))]
        with m.If(port.ready):
            m.d.sync += [held.eq(port.payload), full.eq(port.valid)]
        return held

    def _rows(self, m: Module, lanes: list[VectorLane], advance: Signal) -> RowQueue:
        """Sums over rows, what they become, and the queue in which that waits for the rows' elements."""
        control, current, count = self._control, self._control.current, self._config.lanes
        softmax, layernorm = current.op == Op.SOFTMAX, current.op == Op.LAYERNORM
        at = control.beat
        maximum = m.submodules.row_maximum = Reduce(larger, 16, count, 16)
        total = m.submodules.row_total = Reduce(add, 16, count, SUM_BITS)
        squares = m.submodules.row_squares = Reduce(add, 32, count, 1 + SQUARES_BITS)
        scales = m.submodules.scales = RowScales()
        moments = m.submodules.moments = RowQueue(Moments, GROUP_MAX)
        rows = m.submodules.rows = RowQueue(RowScale, GROUP_MAX)
        for reduce, stage, asked, neutral, elements in (
                (maximum, VectorLane.SCALED, softmax & at[VectorLane.SCALED].first, -1 << 15,
                 [lane.scaled for lane in lanes]),
                (total, VectorLane.LOOKED_UP, Mux(at[VectorLane.LOOKED_UP].first, layernorm, softmax), 0,
                 [lane.looked_up for lane in lanes]),
                (squares, VectorLane.PRODUCT, layernorm & at[VectorLane.PRODUCT].first, 0,
                 [lane.product for lane in lanes])):
            m.d.comb += [reduce.advance.eq(advance), reduce.valid.eq(at[stage].valid & asked),
                         reduce.last.eq(at[stage].last)]
            m.d.comb += [reduce.value[n].eq(Mux(at[stage].last & ~control.tail[n], neutral, element))
                         for n, element in enumerate(elements)]
        s1 = [total.total]
        for n in range(VectorLane.PRODUCT - VectorLane.LOOKED_UP):
            s1.append(Signal.like(total.total, name=f"total_{n}"))
        with m.If(advance):
            m.d.sync += [after.eq(before) for before, after in zip(s1, s1[1:])]
        connect(m, moments.o, scales.moments)
        m.d.comb += [moments.i.p.total.eq(s1[-1]), moments.i.p.squares.eq(squares.total),
                     moments.i.valid.eq(squares.done & advance), scales.layernorm.eq(layernorm),
                     scales.cols.eq(current.cols), scales.epsilon.eq(current.epsilon),
                     rows.i.payload.eq(Mux(softmax, Cat(C(0, FACTOR_BITS), maximum.total), scales.scale)),
                     rows.i.valid.eq(Mux(softmax, maximum.done & advance, scales.valid)),
                     rows.o.ready.eq(control.take_row), control.row_ready.eq(rows.o.valid)]
        self._sums(m, scales, total.done & softmax & advance, total.total)
        return rows

    def _sums(self, m: Module, scales: RowScales, keep, total) -> None:
        """The memory of row sums: softmax writes it, NORMALISE reads ahead as far as the queue of rows has room."""
        control, command = self._control, self._control.command
        m.submodules.sums = memory = Memory(shape=ROW_SUM_BITS, depth=ROW_SUMS, init=[])
        put, get = memory.write_port(), memory.read_port()
        left, ahead, fetch = Signal(16), Signal(range(GROUP_MAX + 1)), Signal()
        m.d.comb += [put.data.eq(total), put.en.eq(keep), get.en.eq(fetch), scales.divisor.eq(get.data),
                     fetch.eq((left != 0) & (ahead != GROUP_MAX))]
        m.d.sync += [scales.divide.eq(fetch), put.addr.eq(put.addr + keep), get.addr.eq(get.addr + fetch),
                     left.eq(left - fetch)]
        with m.If(control.started):
            m.d.sync += [put.addr.eq(command.p.sums), get.addr.eq(command.p.sums), ahead.eq(0),
                         left.eq(Mux(command.p.op == Op.NORMALISE, command.p.rows, 0))]
        with m.Elif(control.current.op == Op.NORMALISE):
            m.d.sync += ahead.eq(ahead + fetch - control.take_row)

    def _row_scale(self, m: Module, lanes: list[VectorLane], rows: RowQueue, advance: Signal) -> None:
        """What all elements of a row share, to the stages that take it."""
        current, first = self._control.current, self._control.beat[0].first
        scale = rows.o.p
        layernorm = current.op == Op.LAYERNORM
        shift = [Signal(scale.shift.shape(), name=f"shift_{n}") for n in range(5)]
        addend = [Signal(signed(OFFSET_BITS), name=f"addend_{n}") for n in range(4)]
        maximum = [Signal(signed(16), name=f"maximum_{n}") for n in range(7)]
        m.d.comb += [addend[0].eq(Mux(layernorm & ~first, scale.offset, 0)), maximum[0].eq(scale.offset)]
        with m.Switch(current.op):
            with m.Case(Op.LAYERNORM):
                m.d.comb += shift[0].eq(Mux(first, 0, scale.shift))
            with m.Case(Op.NORMALISE):
                m.d.comb += shift[0].eq(scale.shift)
            with m.Case(Op.SOFTMAX, Op.GELU, Op.RESIDUAL):
                m.d.comb += shift[0].eq(current.shift)
        with m.If(advance):
            m.d.sync += [after.eq(before) for chain in (shift, addend, maximum)
                         for before, after in zip(chain, chain[1:])]
        for lane in lanes:
            m.d.comb += [lane.row_factor.eq(scale.factor), lane.shift.eq(shift[-1]), lane.maximum.eq(maximum[-1]),
                         lane.addend.eq(addend[-1])]

    def _wait(self, m: Module, y, u, v, advance: Signal) -> tuple:
        """y, u and v wait in two memories until their element stands in the stage that uses them."""
        control, count = self._control, self._config.lanes
        op, place = control.current.op, Signal(range(_WAITING))
        with m.If(advance):
            m.d.sync += place.eq(place + 1)
        columns = [u.value[n][:16] for n in range(count)]
        given = (Mux(among(op, (Op.LAYERNORM, Op.NORMALISE)), Cat(columns), y.as_value()),
                 Mux(control.beat[0].first, 0, v.as_value()))
        out = []
        for n, name in enumerate("ab"):
            m.submodules[f"waiting_{name}"] = memory = Memory(shape=data.ArrayLayout(signed(16), count),
                                                              depth=_WAITING, init=[])
            put, get = memory.write_port(), memory.read_port()
            behind = Signal(range(_WAITING), name=f"behind_{name}")
            with m.Switch(op):
                for one, taps in VectorLane.TAPS.items():
                    with m.Case(one):
                        m.d.comb += behind.eq(taps[n] - 1)
            m.d.comb += [put.en.eq(advance), put.addr.eq(place), put.data.eq(given[n]), get.en.eq(advance),
                         get.addr.eq(place - behind)]
            out.append(get.data)
        return tuple(out)

    @staticmethod
    def _fraction(control: VectorControl):
        return Mux(control.current.op == Op.RESIDUAL, control.current.shift2, 0)

    @staticmethod
    def _last_shift(control: VectorControl):
        """Shift of the second rescaling."""
        current = control.current
        once = among(current.op, (Op.REQUANTISE16, Op.LAYERNORM, Op.NORMALISE))
        return Mux(current.op == Op.GELU, current.shift2, Mux(once, current.shift, 0))
