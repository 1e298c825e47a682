# SPDX-License-Identifier: Apache-2.0
"""What every allocation policy's law shares: the tiles it walks, and how their beats enter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from hw.config import TILE, MachineConfig
from hw.payloads import Init
from model.exact.encode.encoder import Beat
from model.exact.recover.drain import Op


@dataclass(frozen=True)
class Tile:
    """The work of one job: its beats of segments and how its accumulators start and end.

    `row_cycles`: cycles that each of its result rows takes to leave, at least 1.
    """

    beats: list[Beat]
    threshold: int = TILE
    init: Init = Init.ZERO
    transposed: bool = False
    emit: bool = True
    row_cycles: int = 1


class Lanes(ABC):
    """An issue unit between encoder and accumulators, cycle by cycle, without outside stalls.

    A cycle is: `room` (from the state at its beginning), then where the accumulators advance `op` and `issue`, then
    `receive`.
    """

    def __init__(self, tiles: list[Tile], config: MachineConfig) -> None:
        self._tiles, self._config, self._per_residue = tiles, config, config.slots_per_residue
        self._beats = [(n, beat, b + 1 == len(tile.beats))
                       for n, tile in enumerate(tiles) for b, beat in enumerate(tile.beats)]
        self._next_beat = 0
        self._started = False
        self.tile = 0                             # being issued
        self.received = 0                         # tiles whose last beat is here

    @abstractmethod
    def op(self) -> Op | None:
        """This cycle's op; it closes the tile when nothing of it is left."""

    @abstractmethod
    def issue(self, op: Op | None) -> None:
        """The op is taken: choose the next cycle's."""

    @abstractmethod
    def _places(self) -> Any | None:
        """Where a whole beat may be stored, None where it may not."""

    @abstractmethod
    def _store(self, beat: Beat, places: Any, tile: int) -> None:
        """Keep the segments of a beat."""

    def _took(self, op: Op | None) -> None:
        if op is not None:
            self._started = not op.last
            self.tile += op.last

    def room(self) -> Any | None:
        """Where the next beat may enter in this cycle; at most one tile waits beside the one being issued."""
        waits = self._next_beat < len(self._beats) and self.received - self.tile < 2
        return self._places() if waits else None

    def receive(self, room: Any | None) -> None:
        """The next beat enters, into what was free before this cycle's choices."""
        if room is None:
            return
        tile, beat, last = self._beats[self._next_beat]
        self._store(beat, room, tile)
        self._next_beat += 1
        self.received += last
