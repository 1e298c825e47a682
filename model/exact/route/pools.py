# SPDX-License-Identifier: Apache-2.0
"""Law of the policies with pools: which lane issues which segment in which cycle."""

from __future__ import annotations

from hw.config import TILE, Allocation, MachineConfig
from model.exact.encode.encoder import Beat, Segment
from model.exact.recover.drain import Op
from model.exact.route.lanes import Lanes, Tile


class Pool:
    """Segments of one residue of k that wait; position matters only for ties (lowest first).

    Positions are bits of masks: `free` ones can be written, `waiting[tile % 2][n]` hold a segment of n digits that no
    lane has taken; bit n of `kinds[tile % 2]` is set where there is one, `counts[tile % 2]` is their number. A taken
    one is free again when its lane has issued it.
    """

    def __init__(self, config: MachineConfig) -> None:
        self.free = (1 << config.queue_depth) - 1
        self.waiting = [[0] * (TILE + 1), [0] * (TILE + 1)]
        self.kinds, self.counts = [0, 0], [0, 0]
        self.held = {"dense": 0, "sparse": 0}

    def write(self, segments: tuple[Segment | None, ...], free: int, tile: int) -> None:
        """Slot i goes to the i-th position of `free`; an empty slot leaves it free."""
        waiting = self.waiting[tile % 2]
        for segment in segments:
            position = free & -free
            free -= position
            if segment is not None:
                count = segment.count
                self.free -= position
                waiting[count] += position
                self.kinds[tile % 2] |= 1 << count
                self.counts[tile % 2] += 1

    def count(self, tile: int) -> int:
        """Segments of `tile` that no lane has taken."""
        return self.counts[tile % 2]

    def most(self, tile: int, above: int) -> int:
        """Digits, more than `above`, of the thickest segment that waits; 0 where there is none."""
        thickest = self.kinds[tile % 2].bit_length() - 1
        return thickest if thickest > above else 0

    def fewest(self, tile: int, threshold: int) -> int:
        """Digits, at most `threshold`, of the thinnest segment that waits; 0 where there is none."""
        kinds = self.kinds[tile % 2]
        thinnest = (kinds & -kinds).bit_length() - 1
        return thinnest if 0 < thinnest <= threshold else 0

    def take(self, tile: int, digits: int, lane: str) -> None:
        """The lane takes a segment of so many digits."""
        waiting = self.waiting[tile % 2]
        position = waiting[digits] & -waiting[digits]
        waiting[digits] -= position
        if not waiting[digits]:
            self.kinds[tile % 2] -= 1 << digits
        self.counts[tile % 2] -= 1
        self.held[lane] = position

    def issued(self, lane: str) -> None:
        """The lane has issued what it took."""
        self.free += self.held[lane]
        self.held[lane] = 0


class PoolLanes(Lanes):
    """Pools, the dense issue of this cycle and the segment in the sparse lane."""

    def __init__(self, tiles: list[Tile], config: MachineConfig) -> None:
        super().__init__(tiles, config)
        self.pools = [Pool(config) for _ in range(config.residues)]
        self._columns = [range(j, len(self.pools), config.depth) for j in range(config.dense_depth)]
        self._allocation, self._sparse_lane = config.allocation, bool(config.sparse_lanes)
        self._left = [0, 0]                                     # segments that no lane has taken, by parity of the tile
        self._dense: list[tuple[Pool, int]] = []                # what the dense lane issues, and its digits
        self._sparse, self._sparse_pool = 0, self.pools[0]      # digits left of the segment in the sparse lane

    def op(self) -> Op | None:
        """What the lanes took; it closes the tile when nothing of it is left."""
        closes = self.tile < self.received and self._sparse <= 1 and not self._left[self.tile % 2]
        if not (self._dense or self._sparse or closes):
            return None
        digits = sum(count for _, count in self._dense) + (self._sparse > 0)
        return Op(self.tile, not self._started, closes, len(self._dense), int(self._sparse > 0), digits)

    def issue(self, op: Op | None) -> None:
        """The lanes take the pools' offers for the next cycle."""
        self._took(op)
        for pool, _ in self._dense:
            pool.issued("dense")
        if self._sparse:
            self._sparse -= 1
            if self._sparse == 0:
                self._sparse_pool.issued("sparse")
        self._dense = []
        if not self._left[self.tile % 2]:
            return
        sparse = self._sparse_lane and self._sparse == 0
        waiting = [pool.count(self.tile) for pool in self.pools] if sparse else []
        self._take_thickest()
        if sparse:
            self._take_thinnest(waiting)

    def _take_thickest(self) -> None:
        """Every column of the dense lane: the thickest offer of its pools."""
        tile = self.tile
        above = self._tiles[tile].threshold if self._allocation is Allocation.THRESHOLD else 0
        for column in self._columns:
            best, chosen = 0, self.pools[0]
            for n in column:
                offer = self.pools[n].most(tile, above)
                if offer > best:
                    best, chosen = offer, self.pools[n]
            if best:
                self._take(chosen, best, "dense")
                self._dense.append((chosen, best))

    def _take_thinnest(self, waiting: list[int]) -> None:
        """The sparse lane is free: the thinnest offer of the pools that the dense lane leaves alone.

        Balance: once all of the tile is here, only what has fewer digits than segments wait for that dense slot
        (`waiting`: segments of each pool before the dense lane's choice).
        """
        tile, depth = self.tile, self._config.depth
        limited = self._allocation is Allocation.BALANCE and tile < self.received
        threshold = TILE if self._allocation is Allocation.SPARSE else self._tiles[tile].threshold
        busy = [pool for pool, _ in self._dense]
        best, chosen = TILE + 1, self.pools[0]
        for n, pool in enumerate(self.pools):
            if pool not in busy:
                offer = pool.fewest(tile, threshold)
                if 0 < offer < best and not (limited and offer >= sum(waiting[n % depth::depth])):
                    best, chosen = offer, pool
        if best <= TILE:
            self._take(chosen, best, "sparse")
            self._sparse, self._sparse_pool = best, chosen

    def _take(self, pool: Pool, digits: int, lane: str) -> None:
        pool.take(self.tile, digits, lane)
        self._left[self.tile % 2] -= 1

    def _places(self) -> list[int] | None:
        """Free positions of every pool, where each has room for a whole beat."""
        free = [pool.free for pool in self.pools]
        return free if min(map(int.bit_count, free)) >= self._per_residue else None

    def _store(self, beat: Beat, places: list[int], tile: int) -> None:
        per_pool = self._per_residue
        self._left[tile % 2] += len(beat) - beat.count(None)
        for j, (pool, free) in enumerate(zip(self.pools, places)):
            pool.write(beat[j * per_pool:(j + 1) * per_pool], free, tile)
