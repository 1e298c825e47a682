# SPDX-License-Identifier: Apache-2.0
"""Law of the policies with pools: which lane issues which segment in which cycle."""

from __future__ import annotations

from dataclasses import dataclass

from hw.config import TILE, Allocation, MachineConfig
from model.exact.encode.encoder import Beat, Segment
from model.exact.recover.drain import Op
from model.exact.route.lanes import Lanes, Tile


@dataclass
class _Entry:
    segment: Segment
    tile: int
    thin: bool
    lane: str = ""       #: which lane took it; it stays until that lane has issued it


class Pool:
    """Segments of one residue of k that wait; position matters only for ties (lowest first)."""

    def __init__(self, config: MachineConfig) -> None:
        self._allocation = config.allocation
        self.entries: list[_Entry | None] = [None] * config.queue_depth

    def free(self) -> list[int]:
        """Positions that can be written."""
        return [n for n, entry in enumerate(self.entries) if entry is None]

    def write(self, segments: tuple[Segment | None, ...], free: list[int], tile: int, threshold: int) -> None:
        """Slot i goes to the i-th free position; an empty slot leaves it free."""
        if self._allocation is Allocation.SPARSE:
            threshold = TILE
        for position, segment in zip(free, segments):
            if segment is not None:
                self.entries[position] = _Entry(segment, tile, segment.count <= threshold)

    def waiting(self, tile: int) -> list[_Entry]:
        """Segments of `tile` that no lane has taken, in the order of positions."""
        return [entry for entry in self.entries if entry is not None and entry.tile == tile and not entry.lane]

    def dense_offer(self, tile: int) -> _Entry | None:
        """The one with the most digits; under `threshold` no thin one."""
        keep_thin = self._allocation is not Allocation.THRESHOLD
        mine = [entry for entry in self.waiting(tile) if keep_thin or not entry.thin]
        return max(mine, key=lambda entry: entry.segment.count, default=None)

    def sparse_offer(self, tile: int) -> _Entry | None:
        """The thin one with the fewest digits."""
        mine = [entry for entry in self.waiting(tile) if entry.thin]
        return min(mine, key=lambda entry: entry.segment.count, default=None)

    def issued(self, lane: str) -> None:
        """The lane has issued what it took."""
        for n, entry in enumerate(self.entries):
            if entry is not None and entry.lane == lane:
                self.entries[n] = None


class PoolLanes(Lanes):
    """Pools, the dense issue of this cycle and the segment in the sparse lane."""

    def __init__(self, tiles: list[Tile], config: MachineConfig) -> None:
        super().__init__(tiles, config)
        self.pools = [Pool(config) for _ in range(config.residues)]
        self._dense: list[Segment] = []
        self._sparse = 0                          # digits left of the segment in the sparse lane

    def op(self) -> Op | None:
        """What the lanes took; it closes the tile when nothing of it is left."""
        closes = (self.tile < self.received and self._sparse <= 1
                  and not any(pool.waiting(self.tile) for pool in self.pools))
        if not (self._dense or self._sparse or closes):
            return None
        digits = sum(segment.count for segment in self._dense) + bool(self._sparse)
        return Op(self.tile, not self._started, closes, len(self._dense), int(self._sparse > 0), digits)

    def issue(self, op: Op | None) -> None:
        """The lanes take the pools' offers for the next cycle."""
        self._took(op)
        self._sparse = max(0, self._sparse - 1)
        for pool in self.pools:
            pool.issued("dense")
            if self._sparse == 0:
                pool.issued("sparse")
        waiting = [len(pool.waiting(self.tile)) for pool in self.pools]
        untouched = list(range(len(self.pools)))
        self._dense = []
        for j in range(self._config.dense_depth):
            offers = [(n, self.pools[n].dense_offer(self.tile))
                      for n in range(j, len(self.pools), self._config.depth)]
            n, best = max(offers, key=lambda offer: -1 if offer[1] is None else offer[1].segment.count)
            if best is not None:
                best.lane = "dense"
                self._dense.append(best.segment)
                untouched.remove(n)
        if self._sparse == 0 and self._config.sparse_lanes:
            self._take_thinnest(untouched, waiting)

    def _take_thinnest(self, pools: list[int], waiting: list[int]) -> None:
        """The sparse lane is free: the thinnest offer of the pools that the dense lane leaves alone.

        Balance: once all of the tile is here, only what has fewer digits than segments wait for that dense slot.
        """
        limited = self._config.allocation is Allocation.BALANCE and self.tile < self.received
        offers = []
        for n in pools:
            offer = self.pools[n].sparse_offer(self.tile)
            dense_needs = sum(waiting[n % self._config.depth::self._config.depth])
            if offer is not None and not (limited and offer.segment.count >= dense_needs):
                offers.append(offer)
        best = min(offers, key=lambda offer: offer.segment.count, default=None)
        if best is not None:
            best.lane = "sparse"
            self._sparse = best.segment.count

    def _places(self) -> list[list[int]] | None:
        """Free positions of every pool, where each has room for a whole beat."""
        free = [pool.free() for pool in self.pools]
        return free if all(len(positions) >= self._per_residue for positions in free) else None

    def _store(self, beat: Beat, places: list[list[int]], tile: int) -> None:
        per_pool = self._per_residue
        for j, (pool, free) in enumerate(zip(self.pools, places)):
            pool.write(beat[j * per_pool:(j + 1) * per_pool], free, tile, self._tiles[tile].threshold)
