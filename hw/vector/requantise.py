# SPDX-License-Identifier: Apache-2.0
"""Requantise: accumulators of a tile to int8, one lane a column."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
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
        One beat for every tile with emit bit 1, taken with the tile's last row.
    accumulators : Out(stream of result rows)
        Unchanged rows.
    o : Out(stream of int8 rows)
        `hw.numerics.requantise` of each value.

    Latency: 2 cycles to `o`, 0 to `accumulators`. Throughput: a row (4 x CCPEs values) a cycle.
    Numerics: acc (acc_bits) x multiplier (12 bits, unsigned) is exact; `round_shift` by the tile's shift; saturated
    to int8.
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({
            "i": In(stream.Signature(result_layout(config))), "scale": In(stream.Signature(scale_layout(config))),
            "accumulators": Out(stream.Signature(result_layout(config))),
            "o": Out(stream.Signature(int8_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        config, row, scale = self._config, self.i.p, self.scale.p
        wants_acc, wants_int8, take_acc, take_int8 = Signal(), Signal(), Signal(), Signal()
        sent = Signal(2)                  # a row that goes both ways may be taken at different times
        full, move = Signal(2), Signal()  # two stages move together
        m.d.comb += [
            wants_acc.eq(row.emit[0] & ~sent[0]), wants_int8.eq(row.emit[1] & ~sent[1]),
            self.accumulators.payload.eq(row), self.accumulators.valid.eq(self.i.valid & wants_acc),
            move.eq(~full[1] | self.o.ready), take_acc.eq(~wants_acc | self.accumulators.ready),
            take_int8.eq(~wants_int8 | (move & self.scale.valid)), self.i.ready.eq(take_acc & take_int8),
            self.scale.ready.eq(self.i.valid & wants_int8 & move & row.last), self.o.valid.eq(full[1])]
        with m.If(self.i.valid):
            with m.If(self.i.ready):
                m.d.sync += sent.eq(0)
            with m.Else():
                m.d.sync += [sent[0].eq(sent[0] | (wants_acc & self.accumulators.ready)),
                             sent[1].eq(sent[1] | (wants_int8 & move & self.scale.valid))]
        self._lanes(m, move, full, self.i.valid & wants_int8 & self.scale.valid)
        return m

    def _lanes(self, m: Module, move, full, enter) -> None:
        config, row, scale = self._config, self.i.p, self.scale.p
        shift = Signal.like(scale.shift)
        head = Signal.like(self.o.payload)
        with m.If(move):
            m.d.sync += [full.eq((full << 1) | enter), shift.eq(scale.shift)]
            for field in ("row", "last", "rows", "cols", "tag"):
                m.d.sync += [head[field].eq(row[field]), self.o.p[field].eq(head[field])]
        for c in range(config.columns):
            bits = config.acc_bits + MULTIPLIER_BITS
            product, rounded = Signal(signed(bits), name=f"product_{c}"), Signal(signed(bits + 1), name=f"rounded_{c}")
            # round_shift with a shift that is only known at run time: half the last place, then the shift.
            half = Mux(shift == 0, 0, 1 << (shift - 1)[:len(shift)])
            m.d.comb += rounded.eq((product + half) >> shift)
            with m.If(move):
                m.d.sync += [product.eq(row.value[c] * scale.multiplier[c]),
                             self.o.p.value[c].eq(Mux(rounded > 127, 127, Mux(rounded < -128, -128, rounded)))]
