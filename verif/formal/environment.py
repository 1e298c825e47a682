# SPDX-License-Identifier: Apache-2.0
"""What the surroundings of an issue unit keep to, as assumptions: the encoder's beats and the job window of the PEG."""

from __future__ import annotations

from amaranth.hdl import Assume, Cat, Module, Signal

from hw.compute.multiplier import recode
from hw.config import TILE, MachineConfig
from hw.route.issue import SegmentIssue
from verif.formal.watch import Watched, nonzero


def assume_beats(m: Module, config: MachineConfig, unit: SegmentIssue, watched: Watched) -> None:
    """A valid segment has a row to be issued; under merge a residue's first slots come first, else rows that are not
    to be issued hold zeros (of the watched row). A beat may change while it waits."""
    each = config.slots_per_residue
    for s, slot in enumerate(unit.left.p.slot):
        m.d.comb += Assume(~slot.valid | slot.rows.any())
        if not config.merges:
            silent = ~watched.of_row([slot.rows[r] for r in range(TILE)])
            digit = watched.of_row([slot.digit[r] for r in range(TILE)])
            m.d.comb += Assume(~(slot.valid & silent & nonzero(recode(digit))))
        elif s % each:
            m.d.comb += Assume(~slot.valid | unit.left.p.slot[s - 1].valid)


def assume_jobs(m: Module, unit: SegmentIssue, closes) -> None:
    """Jobs come in order and stay until their tile is closed; so does a full right slot."""
    now = Cat(unit.here, unit.go, unit.here_next, unit.go_next)
    before, closed, begun = Signal(4), Signal(), Signal()
    m.d.sync += [before.eq(now), closed.eq(closes), begun.eq(1)]
    m.d.comb += [
        Assume(unit.here | ~unit.here_next), Assume(unit.here | ~unit.go), Assume(unit.here_next | ~unit.go_next),
        Assume(~begun | ~closed | ((before[2:] & ~now[:2]) == 0)),
        Assume(~begun | closed | ((before & ~now) == 0))]
