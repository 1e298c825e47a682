# SPDX-License-Identifier: Apache-2.0
"""Law of EXION's ConMerge (Heo et al., HPCA 2025): condense, conflict vectors, merged schedule. Law only.

Stated (at second hand): condensing drops output columns that no row needs; merging overlays tiled blocks so
that needed outputs of several share a pass of the array; conflict vectors record where blocks want the same
position and decide which merges are safe; row positions are recorded, and a DPU's input and weight can be
switched. Not stated: the block, how many merge, the order of trial, what a conflict leads to. Here: `Packing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from hw.errors import VidaError


class Unit(str, Enum):
    """Inferred: what is overlaid."""

    BLOCK = "block"  #: whole blocks of `lanes` columns: one decision a block, as the paper's wording has it
    COLUMN = "column"  #: single columns, in any lane: packs tighter, a decision and a weight fetch each


class Conflict(str, Enum):
    """Inferred: what a conflict leads to."""

    MOVE = "move"  #: the later element takes the lowest idle row of its lane, whose input is switched
    REFUSE = "refuse"  #: the merge is not safe: only weights are switched, the input of a row stays


class Order(str, Enum):
    """Inferred: order of trial."""

    DENSITY = "density"  #: most needed outputs first, ties by column: first-fit decreasing, needs a sort
    GIVEN = "given"  #: by column: no sort


@dataclass(frozen=True)
class Packing:
    """The array and the choices of a merge.

    Parameters
    ----------
    rows, lanes : rows and columns of the array; 16 x 16 in the paper
    depth : columns that share a lane, so weights of an element's multiplexer
    """

    rows: int = 16
    lanes: int = 16
    depth: int = 3
    unit: Unit = Unit.COLUMN
    conflict: Conflict = Conflict.MOVE
    order: Order = Order.DENSITY

    def __post_init__(self) -> None:
        if min(self.rows, self.lanes, self.depth) < 1:
            raise VidaError(f"array {self.rows} x {self.lanes}, depth {self.depth}: at least 1 each")


@dataclass(frozen=True)
class Schedule:
    """A merged schedule.

    Members
    -------
    passes : passes of the array, each as long as K
    dense_passes : passes without condensing or merging
    condensed_passes : passes with condensing alone
    elements : (E, 5) int64 of (pass, lane, row of the array, row of the matrix, column of the matrix), one for
        every needed output, by pass, lane, array row
    conflicts : (column, conflict vector) of each merged column that met one, in order of placement; bit r of a
        vector is set where row r was taken
    """

    passes: int
    dense_passes: int
    condensed_passes: int
    elements: Tensor
    conflicts: tuple[tuple[int, int], ...]


def condense(mask: Tensor, rows: int) -> list[Tensor]:
    """Columns (C,) that any row of each tile of `rows` rows needs; mask (M, N) bool."""
    return [torch.nonzero(tile.any(0))[:, 0] for tile in mask.split(rows)]


class _Bin:
    """Columns overlaid so far, a lane each: element rows taken."""

    def __init__(self, packing: Packing, width: int) -> None:
        self.packing = packing
        self.taken = [0] * width
        self.columns = 0
        self.placed: list[tuple[int, int, int, int]] = []  # lane, array row, matrix row, column

    def fits(self, bundle: list[tuple[int, int]]) -> bool:
        """Whether the bundle of (column, row mask) merges safely."""
        if self.columns == self.packing.depth:
            return False
        pairs = zip(self.taken, (need for _, need in bundle))
        if self.packing.conflict is Conflict.REFUSE:
            return all(taken & need == 0 for taken, need in pairs)
        return all(taken.bit_count() + need.bit_count() <= self.packing.rows for taken, need in pairs)

    def add(self, bundle: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Overlay a bundle; the conflict vectors that are not zero."""
        self.columns += 1
        conflicts = []
        for lane, (column, need) in enumerate(bundle):
            conflict = self.taken[lane] & need
            if conflict:
                conflicts.append((column, conflict))
            moved = []
            for row in range(self.packing.rows):
                if conflict >> row & 1:
                    moved.append(row)
                elif need >> row & 1:
                    self.placed.append((lane, row, row, column))
            self.taken[lane] |= need
            for row in moved:
                idle = next(r for r in range(self.packing.rows) if not self.taken[lane] >> r & 1)
                self.taken[lane] |= 1 << idle
                self.placed.append((lane, idle, row, column))
        return conflicts


def _bundles(tile: Tensor, columns: Tensor, packing: Packing) -> list[list[tuple[int, int]]]:
    """What is overlaid as one: (column, rows needed as a bit mask) of a tile (rows, N)."""
    weights = 1 << torch.arange(len(tile))
    needs = (tile[:, columns].long() * weights[:, None]).sum(0).tolist()
    pairs = list(zip(columns.tolist(), needs))
    if packing.order is Order.DENSITY:
        pairs.sort(key=lambda pair: (-pair[1].bit_count(), pair[0]))
    width = packing.lanes if packing.unit is Unit.BLOCK else 1
    return [pairs[start : start + width] for start in range(0, len(pairs), width)]


def merge(mask: Tensor, packing: Packing) -> Schedule:
    """The schedule of the needed outputs: `mask` (M, N) bool, tile after tile of `packing.rows` rows.

    A bundle (block or column) goes to the first earlier bin of its tile in which every lane takes it, else
    opens one. Bins of single columns fill the lanes of a pass in order. Raises `VidaError` for more than 62 rows.
    """
    if packing.rows > 62:
        raise VidaError(f"{packing.rows} rows, at most 62 allowed: a conflict vector is one integer")
    elements: list[tuple[int, ...]] = []
    conflicts: list[tuple[int, int]] = []
    passes = condensed = 0
    kept = condense(mask, packing.rows)
    for index, (tile, columns) in enumerate(zip(mask.split(packing.rows), kept)):
        bins: list[_Bin] = []
        for bundle in _bundles(tile, columns, packing):
            chosen = next((one for one in bins if one.fits(bundle)), None)
            if chosen is None:
                chosen = _Bin(packing, len(bundle))
                bins.append(chosen)
            conflicts += chosen.add(bundle)
        share = packing.lanes if packing.unit is Unit.COLUMN else 1
        for place, one in enumerate(bins):
            where, first = divmod(place, share)
            elements += [(passes + where, first + lane, at, index * packing.rows + row, column)
                         for lane, at, row, column in one.placed]
        passes += -(-len(bins) // share)
        condensed += -(-len(columns) // packing.lanes)
    table = torch.tensor(sorted(elements), dtype=torch.int64).reshape(-1, 5)
    dense = len(kept) * -(-mask.shape[1] // packing.lanes)
    return Schedule(passes, dense, condensed, table, tuple(conflicts))


def run_merged(left: Tensor, right: Tensor, schedule: Schedule, kept: Tensor) -> Tensor:
    """Outputs (M, N): products of `left` (M, K) and `right` (K, N) where scheduled, `kept` (M, N) elsewhere."""
    _, _, _, row, column = schedule.elements.unbind(1)
    result = kept.clone()
    result[row, column] = (left[row] * right[:, column].t()).sum(-1)
    return result
