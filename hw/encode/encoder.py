# SPDX-License-Identifier: Apache-2.0
"""Difference encoder: scans several columns a cycle and passes on only segments that hold a non-zero digit."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, MachineConfig
from hw.encode.magnitude import Magnitude
from hw.numerics import lowest
from hw.payloads import k_shape, left_layout, segments_layout


class Encoder(Component):
    """Difference, sign-magnitude digits, zero skipping (Ditto, encoding unit; ViDA, differential approximation).

    The difference of operand and reference goes as two 4-bit digits, planes 0 (low) and 1 (high). A segment, four
    digits of one column in one plane, leaves only if one of them is non-zero, so zeros cost a scan but no issue.
    An original operand is the difference to a zero reference. Slot s of a beat serves columns k with
    k mod residues = s // (slots / residues); segments leave in the order of (k, plane) within a residue.

    Parameters
    ----------
    config : MachineConfig
        Uses scan, slots, residues, right_rows.

    Members
    -------
    left : In(stream of left beats)
        `scan` columns of operand and reference; `skip` = 0 sends both planes of every column, zeros included.
    segments : Out(stream of segments)
        At most `slots` segments a beat; `last` closes the panel.

    Latency: 1 cycle. Throughput: a left beat for every max(1, ceil(segments of a residue / slots of it)) cycles.
    Numerics: exact; a difference of two int8 has 9 bits and two digits of magnitude at most 255.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({"left": In(stream.Signature(left_layout(config))),
                          "segments": Out(stream.Signature(segments_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        column = data.StructLayout({"sign": TILE, "digit": data.ArrayLayout(data.ArrayLayout(4, TILE), 2)})
        columns = Signal(data.ArrayLayout(column, config.scan))
        todo = Signal(data.ArrayLayout(2, config.scan))          # planes of each column still to be sent
        valid, last, base = Signal(), Signal(), Signal(k_shape(config))
        rest = Signal.like(todo.as_value())
        finished, take = Signal(), Signal()
        m.d.comb += [rest.eq(self._select(m, columns, todo, base)), finished.eq(rest == 0),
                     self.segments.valid.eq(valid), self.segments.p.last.eq(last & finished),
                     self.left.ready.eq(~valid | (self.segments.ready & finished)),
                     take.eq(self.left.valid & self.left.ready)]
        with m.If(valid & self.segments.ready):
            m.d.sync += todo.eq(rest)
            with m.If(finished):
                m.d.sync += [valid.eq(0), base.eq(Mux(last, 0, base + config.scan))]
        with m.If(take):
            m.d.sync += [valid.eq(1), last.eq(self.left.p.last)]
            self._digitise(m, columns, todo)
        return m

    def _digitise(self, m: Module, columns, todo) -> None:
        left = self.left.p
        for i in range(self._config.scan):
            nonzero = []
            for r in range(TILE):
                m.submodules[f"magnitude_{i}_{r}"] = lane = Magnitude()
                m.d.comb += [lane.current.eq(left.current[i][r]), lane.reference.eq(left.reference[i][r])]
                m.d.sync += columns[i].sign[r].eq(lane.sign)
                planes = (lane.magnitude[:4], lane.magnitude[4:])
                m.d.sync += [columns[i].digit[plane][r].eq(planes[plane]) for plane in range(2)]
                nonzero.append(Cat(plane.any() for plane in planes))
            send = nonzero[0] | nonzero[1] | nonzero[2] | nonzero[3]
            m.d.sync += todo[i].eq(Mux(i < left.count, Mux(left.skip, send, 0b11), 0))

    def _select(self, m: Module, columns, todo, base):
        """Fill each residue's slots with its first segments; give back what remains."""
        config = self._config
        per_residue = config.slots_per_residue
        rest = []
        for residue in range(config.residues):
            places = [(i, plane) for i in range(residue, config.scan, config.residues) for plane in range(2)]
            waiting = Cat(todo[i][plane] for i, plane in places)
            for s in range(residue * per_residue, (residue + 1) * per_residue):
                chosen, slot = Signal(len(places), name=f"chosen_{s}"), self.segments.p.slot[s]
                m.d.comb += [chosen.eq(lowest(waiting)), slot.valid.eq(chosen.any())]
                for n, (i, plane) in enumerate(places):
                    with m.If(chosen[n]):
                        m.d.comb += [slot.k.eq(base + i), slot.plane.eq(plane), slot.sign.eq(columns[i].sign),
                                     slot.magnitude.eq(columns[i].digit[plane])]
                waiting = waiting & ~chosen
            rest += [(place, waiting[n]) for n, place in enumerate(places)]
        return Cat(bit for _, bit in sorted(rest, key=lambda item: item[0]))
