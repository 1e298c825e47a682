# SPDX-License-Identifier: Apache-2.0
"""Difference encoder: scans several columns a cycle and passes on only segments that hold a digit."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, MachineConfig
from hw.numerics import lowest
from hw.payloads import DIGIT_BITS, k_shape, left_layout, segments_layout

#: Digits of a difference: low, high, and twice 8 or -8 in the high plane where it needs a ninth bit.
PLACES = 4


def windows(difference):
    """The digits of a 9-bit difference as they travel: low, high, over."""
    nibble, sign = difference[7], difference[8]
    return (Cat(C(0, 1), difference[:4]), difference[3:8],
            Mux(sign == nibble, 0, Cat(nibble.replicate(DIGIT_BITS - 1), sign)))


class Encoder(Component):
    """Difference, signed digits, zero skipping (Ditto, encoding unit; ViDA, differential approximation).

    The difference of operand and reference goes as two signed radix-16 digits, -8..8, planes 0 (low) and 1 (high);
    what needs a ninth bit adds 8 or -8 to the high plane twice. A segment, four digits of one column in one plane,
    leaves only if one of them is not zero, so zeros cost a scan but no issue. An original operand is the difference
    to a zero reference. Slot s of a beat serves columns k with k mod residues = s // (slots / residues); within a
    residue the segments of a scan leave plane 0 first, then plane 1, each in the order of k.

    Parameters
    ----------
    config : MachineConfig
        Uses scan, slots, residues, right_rows.

    Members
    -------
    left : In(stream of left beats)
        `scan` columns of operand and reference; `skip` = 0 sends low and high digits of every column, zeros too.
    segments : Out(stream of segments)
        At most `slots` segments a beat; `last` closes the panel.

    Latency: 1 cycle. Throughput: a left beat for every max(1, ceil(segments of a residue / slots of it)) cycles.
    Numerics: exact; a difference of two int8 has 9 bits.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({"left": In(stream.Signature(left_layout(config))),
                          "segments": Out(stream.Signature(segments_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        columns = [[Signal(9, name=f"column_{i}_{r}") for r in range(TILE)] for i in range(config.scan)]
        todo = [Signal(PLACES, name=f"todo_{i}") for i in range(config.scan)]   # digits of each column still to be sent
        valid, last, base, skip = Signal(), Signal(), Signal(k_shape(config)), Signal()
        finished, take = Signal(), Signal()
        rest = self._select(m, columns, todo, base, skip)
        m.d.comb += [finished.eq(~Cat(rest).any()),
                     self.segments.valid.eq(valid), self.segments.p.last.eq(last & finished),
                     self.left.ready.eq(~valid | (self.segments.ready & finished)),
                     take.eq(self.left.valid & self.left.ready)]
        with m.If(valid & self.segments.ready):
            m.d.sync += [now.eq(after) for now, after in zip(todo, rest)]
            with m.If(finished):
                m.d.sync += [valid.eq(0), base.eq(Mux(last, 0, base + config.scan))]
        with m.If(take):
            m.d.sync += [valid.eq(1), last.eq(self.left.p.last), skip.eq(self.left.p.skip)]
            self._subtract(m, columns, todo)
        return m

    def _subtract(self, m: Module, columns, todo) -> None:
        left = self.left.p
        for i, column in enumerate(columns):
            nonzero = []
            for r in range(TILE):
                difference = Signal(signed(9), name=f"difference_{i}_{r}")
                m.d.comb += difference.eq(left.current[i][r] - left.reference[i][r])
                m.d.sync += column[r].eq(difference)
                nonzero.append([_counts(window) for window in windows(difference)])
            low, high, over = (Cat(row[place] for row in nonzero).any() for place in range(3))
            whole = ~left.skip
            m.d.sync += todo[i].eq(Mux(i < left.count, Cat(low | whole, high | whole, over, over), 0))

    def _select(self, m: Module, columns, todo, base, skip) -> list:
        """Fill each residue's slots with its first segments; give back what remains."""
        config = self._config
        per_residue = config.slots_per_residue
        rest, rows = [[0] * PLACES for _ in columns], self._rows(m, columns, skip)
        for residue in range(config.residues):
            places = [(i, place) for plane in ((0,), (1, 2, 3)) for i in range(residue, config.scan, config.residues)
                      for place in plane]
            waiting = Cat(todo[i][place] for i, place in places)
            for s in range(residue * per_residue, (residue + 1) * per_residue):
                open_, chosen = (Signal(len(places), name=f"{name}_{s}") for name in ("open", "chosen"))
                slot = self.segments.p.slot[s]
                m.d.comb += [open_.eq(waiting), chosen.eq(lowest(open_)), slot.valid.eq(chosen.any())]
                for n, (i, place) in enumerate(places):
                    digits = [windows(column)[min(place, 2)] for column in columns[i]]
                    with m.If(chosen[n]):
                        m.d.comb += [slot.k.eq(base + i), slot.plane.eq(place > 0),
                                     slot.rows.eq(rows[i][min(place, 2)])]
                        m.d.comb += [slot.digit[r].eq(digit) for r, digit in enumerate(digits)]
                waiting = open_ & ~chosen
            for n, (i, place) in enumerate(places):
                rest[i][place] = waiting[n]
        return [Cat(bits) for bits in rest]

    def _rows(self, m: Module, columns, skip) -> list:
        """Rows to be sent of each column's low digits, high ones, and those over them."""
        result = [[Signal(TILE, name=f"rows_{i}_{place}") for place in range(3)] for i in range(len(columns))]
        for rows, column in zip(result, columns):
            for place, whole in enumerate((~skip, ~skip, 0)):
                m.d.comb += rows[place].eq(Cat(_counts(windows(value)[place]) | whole for value in column))
        return result


def _counts(window):
    """Whether a digit is not zero: all ones is -1 with a carry of 1."""
    return window.any() & ~window.all()
