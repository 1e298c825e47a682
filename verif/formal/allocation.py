# SPDX-License-Identifier: Apache-2.0
"""Allocation unit: where the watched digit is issued, where it may wait, and what always holds of the pools."""

from __future__ import annotations

from types import SimpleNamespace

from amaranth.hdl import C, Cat, Module, Mux, Signal

from hw.config import TILE, Allocation, MachineConfig
from hw.route.allocation import AllocationUnit
from verif.formal.probe import Probe
from verif.formal.watch import Watched, nonzero


class AllocationView:
    """What the harness must know of an `AllocationUnit`, and how the right reader serves the sparse lane.

    Attributes
    ----------
    found : Value
        For each dense slot and the sparse lane, whether the op multiplies the digit by its right row.
    stray : Value
        The sparse lane begins with the rows of several banks, or of none.
    """

    def __init__(self, m: Module, config: MachineConfig, unit: AllocationUnit, probe: Probe, watched: Watched) -> None:
        self._config, self._unit, self._probe, self._watched = config, unit, probe, watched
        op = unit.op
        meets = [watched.bank[b] & (op.k[b] == watched.word) for b in range(config.residues)]
        self.found = Cat(self._in_dense(slot, meets[j::config.depth]) for j, slot in enumerate(op.dense))
        self.stray = C(0)
        if config.sparse_lanes:
            sparse, self._kept = op.sparse, Signal(name="sparse_row_kept")
            row = Mux(sparse.fresh, Cat(sparse.bank[b] & meet for b, meet in enumerate(meets)).any(), self._kept)
            with m.If(unit.advance):
                m.d.sync += self._kept.eq(row)
            left, mine = sparse.left.as_value(), Cat(watched.row).bit_select(sparse.row, 1)
            self.found = Cat(self.found, row & mine & (sparse.plane == watched.plane) & (left == watched.factor)
                             & nonzero(left))
            self.stray = sparse.fresh & (~sparse.bank.any() | (sparse.bank & (sparse.bank - 1)).any())
        self.found = watched.shared(self.found)

    def _in_dense(self, slot, meets):
        """`meets`: the watched row is read from the one bank, or from the lower or the upper one."""
        left = self._watched.of_row([slot.left[r].as_value() for r in range(TILE)])
        row = Mux(slot.upper, meets[-1], meets[0])
        return row & (slot.plane == self._watched.plane) & (left == self._watched.factor) & nonzero(left)

    def places(self) -> list:
        """Each place where the digit may wait, as (the digit is there, parity of its tile)."""
        watched, there = self._watched, []
        for b in range(self._config.residues):
            pool = self._pool(b)
            for n, entry in enumerate(pool.entries):
                gone = pool.in_sparse[n] & ~watched.of_row(self._pending(entry))
                there.append((watched.bank[b] & watched.in_slot(entry) & ~gone, pool.parity[n]))
        return there

    def invariants(self) -> list:
        """What holds of both lanes and every pool in every cycle, as (value, name)."""
        pools, depth = [self._pool(b) for b in range(self._config.residues)], self._config.depth
        held = []
        for b, pool in enumerate(pools):
            held += self._of_pool(b, pool)
        for j in range(self._config.dense_depth):
            held.append((_at_most_one(Cat(pool.in_dense for pool in pools[j::depth])), f"dense slot {j} has one"))
        if self._config.sparse_lanes:
            taken = Cat(pool.in_sparse for pool in pools)
            held += [(_at_most_one(taken), "the sparse lane has one"),
                     (taken.any() | (self._unit._final & ~self._probe["fresh"]), "the sparse lane is free")]
        return held

    def _of_pool(self, b: int, pool) -> list:
        """Entries are what their counts say; the lanes have different ones, of the tile that is being issued."""
        watched, config = self._watched, self._config
        valid, tile = Cat(entry.valid for entry in pool.entries), self._probe["parity"]
        taken = pool.in_dense | pool.in_sparse
        held = [(~(taken & ~valid).any() & ~(pool.in_dense & pool.in_sparse).any(), f"pool {b} keeps what is taken"),
                (~taken.any() | self._unit.go, f"pool {b} gives to a tile that may be issued")]
        for n, entry in enumerate(pool.entries):
            silent = ~watched.of_row([entry.rows[r] for r in range(TILE)])
            digit = watched.of_row([watched.factor_of(entry.digit[r]) for r in range(TILE)])
            held += [
                (~entry.valid | (entry.rows.any() & (pool.count[n] == 1 << sum(entry.rows))), f"pool {b} counts"),
                (~entry.valid | ~silent | ~nonzero(digit), f"pool {b} holds zeros"),
                (~entry.valid | (pool.parity[n] == tile) | (~taken[n] & (self._probe["ends"] != 0)), f"pool {b} tile")]
            if config.allocation is Allocation.SPARSE:
                held.append((~entry.valid | pool.thin[n], f"pool {b} is thin"))
            if config.sparse_lanes:
                held += [(~pool.in_sparse[n] | value, f"pool {b}, sparse lane: {name}")
                         for value, name in self._sparse(b, pool, entry)]
        return held

    def _sparse(self, b: int, pool, entry) -> list:
        """Of a segment in the sparse lane."""
        fresh, watched = self._probe["fresh"], self._watched
        pending = Cat(self._pending(entry))
        return [(pending.any() & ~(pending & ~entry.rows).any(), "digits remain"),
                (self._unit._final == _at_most_one(pending), "the last digit is known"),
                (~fresh | ~pool.in_dense.any(), "its bank is its own at first"),
                (fresh | (self._kept == (watched.bank[b] & watched.is_word(entry.k))), "its right row is kept")]

    def _pending(self, entry) -> list:
        """Rows that the sparse lane has yet to issue of its segment."""
        if not self._config.sparse_lanes:
            return [C(0)] * TILE
        rows = Mux(self._probe["fresh"], entry.rows, self._probe["remaining"])
        return [rows[r] for r in range(TILE)]

    def _pool(self, b: int) -> SimpleNamespace:
        """The registers of a pool; a lane that is not there has taken nothing."""
        inside = self._probe.of(self._probe["pools"][b])
        names = ("entries", "count", "parity", "thin", "in_dense", "in_sparse")
        return SimpleNamespace(**{name: inside[name] for name in names})


def _at_most_one(bits):
    return (bits & (bits - 1)) == 0
