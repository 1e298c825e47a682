# SPDX-License-Identifier: Apache-2.0
"""The circuit that the solver sees: an issue unit, the watched digit's scoreboard, assumptions, properties, covers."""

from __future__ import annotations

from amaranth.back import rtlil
from amaranth.hdl import Assert, Cat, ClockDomain, Cover, Elaboratable, Module, Mux, Signal, Value

from hw.compute.peg import issue_unit
from hw.config import MachineConfig
from verif.formal.allocation import AllocationView
from verif.formal.environment import assume_beats, assume_jobs
from verif.formal.merge import MergeView
from verif.formal.probe import Probe
from verif.formal.scoreboard import Scoreboard
from verif.formal.watch import Watched

#: What `Harness` proves, for tables and documents.
PROPERTIES = (
    "issued only while it waits in the tile being issued", "issued once", "issued before its tile closes",
    "meets one right row", "issued by a valid op", "ops only of a tile that may be issued",
    "a tile closes after its last beat", "its first op is marked", "an op issues a digit or closes the tile",
    "never two cycles without an op while there is one to issue")


class Harness(Elaboratable):
    """Follow one arbitrary digit of every tile through an issue unit, and hold it to `PROPERTIES`.

    The digit is recognised at the lanes by what they do with it: the right row that they multiply, the factor, the
    plane and the row of the tile. So a digit that meets another right row counts as lost.

    Parameters
    ----------
    config : MachineConfig
        With lane `digit`.
    strengthen : bool
        Assert the block's inner invariants too: what induction needs, and no counterexample wants.
    """

    def __init__(self, config: MachineConfig, strengthen: bool = True) -> None:
        self._config, self._strengthen = config, strengthen
        self._domain = ClockDomain("sync", reset_less=True)     # registers begin as after reset
        self.unit = issue_unit(config)(config)

    def rtlil(self) -> str:
        """The circuit for Yosys; its top module is `harness`, its inputs are free."""
        unit = self.unit
        inputs = [self._domain.clk, unit.left.valid, unit.left.payload, unit.here, unit.here_next, unit.go,
                  unit.go_next, unit.threshold, unit.threshold_next, unit.slot, unit.advance]
        return rtlil.convert(self, name="harness", ports=[Value.cast(value) for value in inputs], emit_src=False)

    def elaborate(self, platform):
        """The unit, its surroundings and what is to hold."""
        m = Module()
        m.domains.sync = self._domain
        config, unit, tile = self._config, self.unit, Scoreboard()
        block = MergeView if config.merges else AllocationView
        m.submodules.unit = probe = Probe(unit)
        watched = Watched(m, config)
        view = block(m, config, unit, probe, watched)
        tile.build(m, config, unit, watched, view.found)
        assume_beats(m, config, unit, watched)
        assume_jobs(m, unit, tile.closes)
        self._properties(m, tile, view)
        self._progress(m, tile)
        self._cover(m, tile)
        if self._strengthen:
            held = view.invariants() + self._links(probe, tile, watched, view.places())
            m.d.comb += [Assert(value, name) for value, name in held]
        return m

    def _properties(self, m: Module, tile: Scoreboard, view) -> None:
        op = self.unit.op
        m.d.comb += [Assert((view.found & (view.found - 1)) == 0, "issued once"),
                     Assert(~view.stray, "meets one right row")]
        with m.If(self.unit.advance):
            m.d.comb += [
                Assert(~tile.issues | tile.waits, "issued only while it waits in the tile being issued"),
                Assert(~tile.closes | tile.issues | ~tile.waits, "issued before its tile closes"),
                Assert(~tile.issues | op.valid, "issued by a valid op"),
                Assert(~op.valid | self.unit.go, "ops only of a tile that may be issued"),
                Assert(~tile.closes | (tile.ends != 0), "a tile closes after its last beat"),
                Assert(~op.valid | (op.first == ~tile.started), "its first op is marked"),
                Assert(~op.valid | op.last | (op.digits != 0), "an op issues a digit or closes the tile")]

    def _progress(self, m: Module, tile: Scoreboard) -> None:
        """Something is to be done if the digit waits, a panel is complete, or beats are refused although the job is
        here; what waits is bounded and each op makes it less, so every tile closes."""
        unit, idle = self.unit, Signal(name="idle")
        due = tile.waits | (tile.ends != 0) | (unit.here & ~unit.left.ready)
        with m.If(unit.advance):
            m.d.sync += idle.eq(unit.go & due & ~unit.op.valid)
            m.d.comb += Assert(~idle | unit.op.valid, "never two cycles without an op while there is one to issue")
        self._idle = idle

    def _cover(self, m: Module, tile: Scoreboard) -> None:
        """What a bounded run must have seen."""
        unit, closed = self.unit, Signal(2, name="tiles_closed")
        with m.If(tile.closes & (closed != 3)):
            m.d.sync += closed.eq(closed + 1)
        refused = unit.left.valid & unit.here & ~unit.left.ready & (tile.ends == 0)
        m.d.comb += [Cover(tile.closes & (closed == 2), "third tile closes"),
                     Cover(tile.issues & (closed == 2), "digit of the third tile"),
                     Cover(refused & tile.waits, "full"),
                     Cover(tile.held.all(), "digits of two tiles wait"), Cover(tile.ends == 2, "two panels complete")]

    def _links(self, probe: Probe, tile: Scoreboard, watched: Watched, places) -> list:
        """Scoreboard and unit agree, and the digit is in exactly one place while it is held."""
        parity, ends, later = probe["parity"], probe["ends"], tile.ends == 2
        held = [((tile.ends == ends) & (ends != 3), "panels received"), (tile.issuing == parity, "tile issued"),
                (tile.entering == (parity ^ ends[0]), "tile received"), (tile.started == probe["started"], "started"),
                (Mux(later, ~tile.entered, tile.entered | ~tile.held.bit_select(tile.entering, 1)), "entered"),
                (~self._idle | self.unit.op.valid, "not idle")]
        for side in range(2):
            there = watched.shared(Cat(place & (of == side) for place, of in places))
            held.append((((there & (there - 1)) == 0) & (there.any() == tile.held[side]), "in exactly one place"))
        return held
