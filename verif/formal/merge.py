# SPDX-License-Identifier: Apache-2.0
"""Merge unit: where the watched digit is issued, where it may wait, and what always holds of the queues."""

from __future__ import annotations

from amaranth.hdl import Cat, Module

from hw.config import TILE, MachineConfig
from hw.route.merge import MergeUnit
from verif.formal.probe import Probe
from verif.formal.watch import Watched, nonzero


class MergeView:
    """What the harness must know of a `MergeUnit`.

    Attributes
    ----------
    found : Value
        For each multiplier of the watched row, whether the op multiplies the digit by its right row.
    stray : Value
        A factor meets no right row, or more than one.
    """

    def __init__(self, m: Module, config: MachineConfig, unit: MergeUnit, probe: Probe, watched: Watched) -> None:
        self._config, self._unit, self._probe, self._watched = config, unit, probe, watched
        op, found, stray = unit.op, [], []
        for j, multiplier in enumerate(op.dense):
            left = watched.of_row([multiplier.left[r].as_value() for r in range(TILE)])
            select = watched.of_row([multiplier.select[r] for r in range(TILE)])
            banks = [b % config.residues for b in range(2 * j, 2 * j + config.buses)]
            row = Cat(select[i] & watched.bank[b] & (op.k[b] == watched.word) for i, b in enumerate(banks)).any()
            found.append(row & (op.plane == watched.plane) & (left == watched.factor) & nonzero(left))
            stray.append((nonzero(left) & ~select.any()) | (select & (select - 1)).any())
        self.found, self.stray = watched.shared(Cat(found)), watched.shared(Cat(stray).any())

    def places(self) -> list:
        """Each place where the digit may wait, as (the digit is there, parity of its tile)."""
        watched, there = self._watched, [(self.found.any(), self._probe["parity"])]
        for b in range(self._config.residues):
            head, moved, entries = self._queue(b)
            there.append((watched.bank[b] & watched.in_slot(head.slot), head.parity))
            for n, place in enumerate(entries):
                waits = watched.bank[b] & watched.in_slot(place.slot)
                there.append((waits & ~moved if n == 0 else waits, place.parity))
        return there

    def invariants(self) -> list:
        """What holds of every queue in every cycle, as (value, name)."""
        chosen = self._unit._chosen
        held = [(~chosen.valid | self._unit.go, "chosen ops are of a tile that may be issued"),
                (chosen.valid == Cat(slot.select for slot in chosen.dense).any(), "a chosen op selects")]
        for b in range(self._config.residues):
            held += self._of_queue(b)
        return held

    def _of_queue(self, b: int) -> list:
        """No gaps, nothing empty, tiles in order, and a place that moved is still in the head."""
        parity, ends = self._probe["parity"], self._probe["ends"]
        head, moved, entries = self._queue(b)
        line = [head, *entries]
        stored = Cat(place.slot.valid for place in line)
        held = [(~(stored[1:] & ~stored[:-1]).any(), f"queue {b} has no gaps"),
                (~moved | (entries[0].slot.valid & (entries[0].parity == head.parity)), f"queue {b} has moved")]
        for place in line:
            held += [(~place.slot.valid | place.slot.rows.any(), f"queue {b} has rows"),
                     (~place.slot.valid | (place.parity == parity) | (ends != 0), f"queue {b} is of this tile")]
        held += [(~second.slot.valid | (first.parity == parity) | (second.parity != parity), f"queue {b} is in order")
                 for first, second in zip(line, line[1:])]
        return held

    def _queue(self, b: int):
        inside = self._probe.of(self._probe["queues"][b])
        return inside["head"], inside["moved"], inside["entries"]
