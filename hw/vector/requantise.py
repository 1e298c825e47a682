# SPDX-License-Identifier: Apache-2.0
"""Requantise: accumulators of a tile to int8, a lane for each column or for several."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import MachineConfig
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX
from hw.payloads import int8_layout, result_layout, scale_layout

#: Header fields of a row that leave with it.
HEAD = ("row", "last", "rows", "cols", "tag")


class Requantise(Component):
    """Scale, round and saturate every accumulator of a row; pass the accumulators on as they are, too.

    A result row goes where its job's `emit` says: bit 0 to `accumulators`, bit 1 to `o`, both where both are set.

    Parameters
    ----------
    config : MachineConfig
        Uses columns, requantise_cycles, acc_bits, tag_bits.

    Members
    -------
    i : In(stream of result rows)
        From the PEG.
    scale : In(stream of scales)
        One beat for every tile with emit bit 1, held until the tile's last row has entered.
    accumulators : Out(stream of result rows)
        Unchanged rows.
    o : Out(stream of int8 rows)
        `hw.numerics.requantise` of each value.

    A row of 4 x CCPEs values passes in `requantise_cycles` parts through as many times fewer lanes; only a tile that
    leaves as int8 takes that long.

    Latency: 4 + requantise_cycles cycles to `o`, 0 to `accumulators`. Throughput: a row in requantise_cycles cycles.
    Numerics: acc (acc_bits) x multiplier (12 bits, unsigned) is exact; `round_shift` by the tile's shift; saturated
    to int8.
    """

    #: Registers that a value passes.
    stages = 5

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        self._parts = config.requantise_cycles
        self._lanes = -(-config.columns // self._parts)
        self.latency = self.stages + self._parts - 1
        self._whole = Signal(name="whole")      # the last part of a row stands at the output
        super().__init__({
            "i": In(stream.Signature(result_layout(config))), "scale": In(stream.Signature(scale_layout(config))),
            "accumulators": Out(stream.Signature(result_layout(config))),
            "o": Out(stream.Signature(int8_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        row = self.i.p
        wants_acc, wants_int8, move, enter, feed, final = (Signal(name=name) for name in (
            "wants_acc", "wants_int8", "move", "enter", "feed", "final"))
        # Turned by the lanes of a part with each part, so the last part may leave lanes idle.
        turning = Signal(MULTIPLIER_BITS * self._parts * self._lanes)
        shift_by, held = Signal(range(SHIFT_MAX + 1)), Signal()
        sent = Signal(2)                    # a row that goes both ways may be taken at different times
        waits = Signal()                    # a part of a row stands in the first stage, for its scale
        full = Signal(self.stages - 1)      # the stages behind it move together
        part = Signal(range(self._parts))   # of the row that enters
        first = Signal(self._part_layout())
        m.d.comb += [
            wants_acc.eq(row.emit[0] & ~sent[0]), wants_int8.eq(row.emit[1] & ~sent[1]),
            self.accumulators.payload.eq(row), self.accumulators.valid.eq(self.i.valid & wants_acc),
            move.eq(~self.o.valid | self.o.ready), feed.eq(waits & held & move), final.eq(part == self._parts - 1),
            enter.eq(self.i.valid & wants_int8 & (~waits | feed)),
            self.scale.ready.eq(~held | (feed & first.head.last & first.final)),
            self.i.ready.eq((~wants_acc | self.accumulators.ready)
                            & (~wants_int8 | (final & (~waits | feed))))]
        with m.If(feed):                    # the next part's multipliers come to the lanes
            m.d.sync += turning.eq(turning.rotate_right(self._lanes * MULTIPLIER_BITS))
        with m.If(self.scale.ready):
            m.d.sync += [turning.eq(self.scale.p.multiplier.as_value()), shift_by.eq(self.scale.p.shift),
                         held.eq(self.scale.valid)]
        with m.If(self.i.valid):
            m.d.sync += sent.eq(Mux(self.i.ready, 0, sent | Cat(wants_acc & self.accumulators.ready, enter & final)))
        with m.If(~waits | feed):
            m.d.sync += [waits.eq(enter), first.final.eq(final)]
            m.d.sync += [first.head[field].eq(row[field]) for field in HEAD]
            with m.Switch(part):
                for n in range(self._parts):
                    with m.Case(n):
                        m.d.sync += [first.value[i].eq(row.value[c]) for i, c in enumerate(self._columns(n))]
        with m.If(enter):
            m.d.sync += part.eq(Mux(final, 0, part + 1))
        with m.If(move):
            m.d.sync += full.eq(Cat(feed, full))
            self._keep_step(m, first)
            shift = [shift_by, Signal.like(shift_by), Signal.like(shift_by)]
            m.d.sync += [later.eq(earlier) for earlier, later in zip(shift, shift[1:])]
            out = [self._lane(m, i, first.value[i], turning.word_select(i, MULTIPLIER_BITS), shift[-1])
                   for i in range(self._lanes)]
        m.d.comb += self.o.valid.eq(full[-1] & self._whole)
        for n in range(self._parts):
            m.d.comb += [self.o.p.value[c].eq(out[i][n]) for i, c in enumerate(self._columns(n))]
        return m

    def _columns(self, part: int) -> range:
        """The columns of a part, one for each lane; fewer in the last."""
        return range(part * self._lanes, min((part + 1) * self._lanes, self._config.columns))

    def _part_layout(self) -> data.StructLayout:
        config = self._config
        return data.StructLayout({
            "value": data.ArrayLayout(signed(config.acc_bits), self._lanes), "final": 1,
            "head": data.StructLayout({field: int8_layout(config)[field].shape for field in HEAD})})

    def _keep_step(self, m: Module, first) -> None:
        """Header, and whether the part is its row's last, pass the stages beside the values."""
        beside = data.StructLayout({"final": 1, "head": first.head.shape()})
        before = Signal(beside, name="beside_1")
        m.d.comb += [before.final.eq(first.final), before.head.eq(first.head)]
        for stage in range(2, self.stages):
            after = Signal(beside, name=f"beside_{stage}")
            m.d.sync += after.eq(before)
            before = after
        m.d.sync += self._whole.eq(before.final)
        m.d.sync += [self.o.p[field].eq(before.head[field]) for field in HEAD]

    def _lane(self, m: Module, lane: int, value, multiplier, shift: Signal) -> list[Signal]:
        """Three part products; their sum; shift, with one bit kept below the last place; rounding, saturation.

        Returns the lane's result of each part.
        """
        width, third = self._config.acc_bits, MULTIPLIER_BITS // 3
        parts = [Signal(signed(width + third), name=f"part_{lane}_{n}") for n in range(3)]
        product = Signal(signed(width + MULTIPLIER_BITS), name=f"product_{lane}")
        # round_shift(x, s) = ((2x >> s) + 1) >> 1; 2x >> s is first limited to what still saturates right.
        doubled = Signal(signed(len(product) + 1), name=f"doubled_{lane}")
        limited = Signal(signed(10), name=f"limited_{lane}")
        rounded = Signal(signed(10), name=f"rounded_{lane}")
        fits = (doubled[9:] == 0) | doubled[9:].all()
        m.d.comb += [doubled.eq((product << 1) >> shift), rounded.eq((limited + 1) >> 1)]
        m.d.sync += [part.eq(value * multiplier[n * third:(n + 1) * third]) for n, part in enumerate(parts)]
        m.d.sync += [product.eq(sum(part << (n * third) for n, part in enumerate(parts))),
                     limited.eq(Mux(fits, doubled, Mux(doubled[-1], -512, 511)))]
        # Parts enter at the far end: after the last one each value stands in its column.
        out = [Signal(signed(8), name=f"out_{lane}_{n}") for n in range(self._parts)]
        m.d.sync += [before.eq(after) for before, after in zip(out, out[1:])]
        m.d.sync += out[-1].eq(Mux(rounded > 127, 127, Mux(rounded < -128, -128, rounded)))
        return out
