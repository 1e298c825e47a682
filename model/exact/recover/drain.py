# SPDX-License-Identifier: Apache-2.0
"""Law of the drain: when the accumulators take an op, and when a tile has left, without outside stalls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hw.config import TILE, Drain, MachineConfig
from hw.payloads import Init

if TYPE_CHECKING:
    from model.exact.route.allocation import Tile


class Op(NamedTuple):
    """One cycle of the lanes."""

    tile: int
    first: bool
    last: bool
    dense: int      #: segments issued to the dense lane
    sparse: int     #: digits issued to the sparse lane
    digits: int     #: digits in both


class _Drain:
    """Follow the tiles at the accumulators; `finished` once the last emitted row has been taken."""

    def __init__(self, tiles: list[Tile]) -> None:
        self._tiles = tiles
        self._opened = 0                 # tiles whose first op has executed
        self._closed = 0

    def _init(self) -> Init:
        """Init of the next tile to be opened."""
        return self._tiles[self._opened].init if self._opened < len(self._tiles) else Init.HOLD

    def _execute(self, op: Op) -> int:
        """Account for an op; the cycles in which its tile leaves, 0 where it ends none that does."""
        self._opened += op.first
        self._closed += op.last
        tile = self._tiles[op.tile]
        return TILE * tile.row_cycles if op.last and tile.emit else 0

    @property
    def _through(self) -> bool:
        return self._closed == len(self._tiles)


class InplaceDrain(_Drain):
    """A tile that leaves takes four rows' cycles; a next init that cannot enter meanwhile costs four more."""

    def __init__(self, tiles: list[Tile]) -> None:
        super().__init__(tiles)
        self._leaving = self._loading = 0
        self._in_tile, self._primed = False, True      # the first job was there before its operands

    @property
    def finished(self) -> bool:
        """Every tile is closed and has left."""
        return self._through and self._leaving == 0

    def step(self, op: Op | None) -> bool:
        """One cycle with `op` at the accumulators; True where the lanes advance."""
        if self._leaving:
            self._leaving -= 1
            return False
        if self._loading:
            self._loading -= 1
            return False
        needs_load = not self._in_tile and not self._primed and self._init() is not Init.HOLD
        blocked = needs_load and op is not None and op.first
        if needs_load:
            self._loading, self._primed = TILE, True
        if blocked:
            return False
        if op is not None:
            self._in_tile = not op.last
            if op.first:
                self._primed = False
            leaving = self._execute(op)
            if leaving:
                self._leaving = leaving
                follows = self._opened < len(self._tiles) and not op.first
                transposed = follows and self._init() is Init.TILE and self._tiles[self._opened].transposed
                self._primed = follows and self._init() is not Init.HOLD and not transposed
        return True


class ShadowDrain(_Drain):
    """A tile leaves behind the next one; the same set takes the next init when it is empty."""

    def __init__(self, tiles: list[Tile]) -> None:
        super().__init__(tiles)
        self._left = self._loaded = 0          # cycles until the set is empty, rows of the next init in place
        self._done = 0                         # the same of the tile that waits in the accumulators
        self._leaves, self._both = 0, False    # `_left` at the beginning; the next init enters meanwhile
        self._primed = False

    @property
    def finished(self) -> bool:
        """Every tile is closed and has left."""
        return self._through and self._done == 0 and self._left == 0

    def step(self, op: Op | None) -> bool:
        """One cycle with `op` at the accumulators; True where the lanes advance."""
        full = self._loaded == TILE
        init = self._init()
        capture = self._done > 0 and self._left == 0 and self._loaded in (0, TILE)
        opening = op is not None and op.first
        here = self._primed or full or init in (Init.HOLD, Init.ZERO)
        advance = not opening or (here and (not self._done or capture))

        loads = init in (Init.BIAS, Init.TILE) and not (full or capture or self._primed)
        if self._left:
            if self._left == self._leaves:       # the first row: the next init enters as this tile leaves, or after it
                self._both = loads and not (init is Init.TILE and self._tiles[self._opened].transposed)
            self._left -= 1
            if self._left == 0 and self._both:
                self._loaded = TILE
        elif loads:
            self._loaded += 1
        swap = capture and full
        if swap or (opening and advance and not self._primed and full):
            self._loaded = 0
        self._primed = (self._primed or swap) and not (opening and advance)
        if capture:
            self._done, self._left, self._leaves = 0, self._done, self._done
        if advance and op is not None:
            self._done = self._execute(op) or self._done
        return advance


def drain(tiles: list[Tile], config: MachineConfig) -> InplaceDrain | ShadowDrain:
    """The variant that the configuration asks for."""
    return ShadowDrain(tiles) if config.drain is Drain.SHADOW else InplaceDrain(tiles)
