# SPDX-License-Identifier: Apache-2.0
"""Requantise: accumulators of a tile to int8, one lane a column."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import MachineConfig
from hw.numerics import MULTIPLIER_BITS
from hw.payloads import int8_layout, result_layout, scale_layout


class Requantise(Component):
    """Scale, round and saturate every accumulator of a row; pass the accumulators on as they are, too.

    A result row goes where its job's `emit` says: bit 0 to `accumulators`, bit 1 to `o`, both where both are set.

    Parameters
    ----------
    config : MachineConfig
        Uses columns, acc_bits, tag_bits.

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

    Latency: 5 cycles to `o`, 0 to `accumulators`. Throughput: a row (4 x CCPEs values) a cycle.
    Numerics: acc (acc_bits) x multiplier (12 bits, unsigned) is exact; `round_shift` by the tile's shift; saturated
    to int8.
    """

    latency = 5

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({
            "i": In(stream.Signature(result_layout(config))), "scale": In(stream.Signature(scale_layout(config))),
            "accumulators": Out(stream.Signature(result_layout(config))),
            "o": Out(stream.Signature(int8_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        row = self.i.p
        wants_acc, wants_int8, move, enter, feed = Signal(), Signal(), Signal(), Signal(), Signal()
        scale, held = Signal(scale_layout(self._config)), Signal()
        sent = Signal(2)                    # a row that goes both ways may be taken at different times
        waits = Signal()                    # a row stands in the first stage, for its scale
        full = Signal(self.latency - 1)     # the stages behind it move together
        first = Signal.like(row)
        m.d.comb += [
            wants_acc.eq(row.emit[0] & ~sent[0]), wants_int8.eq(row.emit[1] & ~sent[1]),
            self.accumulators.payload.eq(row), self.accumulators.valid.eq(self.i.valid & wants_acc),
            move.eq(~full[-1] | self.o.ready), self.o.valid.eq(full[-1]), feed.eq(waits & held & move),
            enter.eq(self.i.valid & wants_int8 & (~waits | feed)), self.scale.ready.eq(~held | (feed & first.last)),
            self.i.ready.eq((~wants_acc | self.accumulators.ready) & (~wants_int8 | ~waits | feed))]
        with m.If(self.scale.ready):
            m.d.sync += [scale.eq(self.scale.payload), held.eq(self.scale.valid)]
        with m.If(self.i.valid):
            m.d.sync += sent.eq(Mux(self.i.ready, 0, sent | Cat(wants_acc & self.accumulators.ready, enter)))
        with m.If(~waits | feed):
            m.d.sync += [waits.eq(enter), first.eq(row)]
        with m.If(move):
            m.d.sync += full.eq(Cat(feed, full))
            self._head(m, first)
            shift = [scale.shift, Signal.like(scale.shift), Signal.like(scale.shift)]
            m.d.sync += [later.eq(earlier) for earlier, later in zip(shift, shift[1:])]
            for c in range(self._config.columns):
                self._lane(m, c, first.value[c], scale.multiplier[c], shift[-1])
        return m

    def _head(self, m: Module, first) -> None:
        """The row's header keeps step with its values."""
        for field in ("row", "last", "rows", "cols", "tag"):
            value = first[field]
            for stage in range(2, self.latency):
                delayed = Signal.like(value, name=f"{field}_{stage}")
                m.d.sync += delayed.eq(value)
                value = delayed
            m.d.sync += self.o.p[field].eq(value)

    def _lane(self, m: Module, c: int, value, multiplier, shift: Signal) -> None:
        """Two half products; their sum; shift, with one bit kept below the last place; rounding and saturation."""
        bits, half = self._config.acc_bits, MULTIPLIER_BITS // 2
        low, high = (Signal(signed(bits + half), name=f"{name}_{c}") for name in ("low", "high"))
        product = Signal(signed(bits + MULTIPLIER_BITS), name=f"product_{c}")
        # round_shift(x, s) = ((2x >> s) + 1) >> 1; 2x >> s is first limited to what still saturates right.
        doubled = Signal(signed(len(product) + 1), name=f"doubled_{c}")
        limited = Signal(signed(10), name=f"limited_{c}")
        rounded = Signal(signed(10), name=f"rounded_{c}")
        fits = (doubled[9:] == 0) | doubled[9:].all()
        m.d.comb += [doubled.eq((product << 1) >> shift), rounded.eq((limited + 1) >> 1)]
        m.d.sync += [low.eq(value * multiplier[:half]), high.eq(value * multiplier[half:]),
                     product.eq(low + (high << half)),
                     limited.eq(Mux(fits, doubled, Mux(doubled[-1], -512, 511))),
                     self.o.p.value[c].eq(Mux(rounded > 127, 127, Mux(rounded < -128, -128, rounded)))]
