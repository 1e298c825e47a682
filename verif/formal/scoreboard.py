# SPDX-License-Identifier: Apache-2.0
"""The harness's own record of tiles and of the watched digit, kept from the unit's ports alone."""

from __future__ import annotations

from amaranth.hdl import Assume, Module, Mux, Signal

from hw.config import MachineConfig
from verif.formal.watch import Watched


class Scoreboard:
    """Two tiles can be under way, told apart by a parity.

    `held`: for each parity, the digit has entered and is not issued; `entering`, `issuing`: parity of the tile that is
    received, issued; `entered`: the digit came in this panel already; `ends`: panels received to the end and not
    closed; `started`: the tile being issued has had an op.
    """

    def __init__(self) -> None:
        self.held, self.ends = Signal(2, name="held"), Signal(3, name="panels_received")
        self.entering, self.issuing = Signal(name="entering"), Signal(name="issuing")
        self.entered, self.started = Signal(name="entered"), Signal(name="tile_started")
        self.waits = Signal(name="waits_to_be_issued")
        self.accept, self.closes, self.issues = Signal(name="accept"), Signal(name="closes"), Signal(name="issues")

    def build(self, m: Module, config: MachineConfig, unit, watched: Watched, found) -> None:
        """Add it to `m`; the digit is assumed to enter at most once in its tile.

        found : for each multiplier, whether it issues the digit.
        """
        arrivals, enters = watched.arrivals(config, unit.left.p.slot), Signal(name="enters")
        m.d.comb += [
            self.accept.eq(unit.left.valid & unit.left.ready), enters.eq(self.accept & arrivals.any()),
            self.issues.eq(unit.advance & found.any()), self.closes.eq(unit.advance & unit.op.valid & unit.op.last),
            self.waits.eq(self.held.bit_select(self.issuing, 1)),
            Assume(~self.accept | ((arrivals & (arrivals - 1)) == 0)), Assume(~(enters & self.entered))]
        comes, goes = Signal(2, name="comes"), Signal(2, name="leaves")
        m.d.comb += [comes.eq(Mux(enters, 1 << self.entering, 0)), goes.eq(Mux(self.issues, 1 << self.issuing, 0))]
        m.d.sync += [
            self.held.eq((self.held & ~goes) | comes),
            self.ends.eq(self.ends + (self.accept & unit.left.p.last) - self.closes),
            self.entering.eq(self.entering ^ (self.accept & unit.left.p.last)),
            self.issuing.eq(self.issuing ^ self.closes)]
        with m.If(self.accept):
            m.d.sync += self.entered.eq(~unit.left.p.last & (self.entered | enters))
        with m.If(unit.advance & unit.op.valid):
            m.d.sync += self.started.eq(~unit.op.last)
