# SPDX-License-Identifier: Apache-2.0
"""Law of the allocation: which lane issues which segment in which cycle, and how long successive tiles take.

One schedule serves the law, the cycle figures and the exploration of arrays. It knows nothing of outside stalls:
operands, jobs, inits and takers of results are always there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hw.config import TILE, Allocation, MachineConfig
from hw.payloads import Init
from model.exact.encode.encoder import Beat, Segment
from model.exact.recover.drain import Op, drain


@dataclass(frozen=True)
class Tile:
    """The work of one job: its beats of segments and how its accumulators start and end."""

    beats: list[Beat]
    threshold: int = TILE
    init: Init = Init.ZERO
    transposed: bool = False
    emit: bool = True


@dataclass
class Schedule:
    """What the lanes did."""

    cycles: int = 0                   #: first operand accepted by the encoder to last result row accepted
    dense_issues: int = 0             #: segments issued to the dense lane
    sparse_issues: int = 0            #: non-zeros issued to the sparse lane
    digits: int = 0                   #: non-zero digits issued to both
    trace: list[tuple[int, int]] = field(default_factory=list)  #: (dense, sparse) issues in each cycle of lanes


@dataclass
class _Entry:
    segment: Segment
    tile: int
    thin: bool
    lane: str = ""       #: which lane took it; it stays until that lane has issued it


class Pool:
    """Segments of one residue of k that wait; position matters only for ties (lowest first)."""

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        self.entries: list[_Entry | None] = [None] * config.queue_depth

    def free(self) -> list[int]:
        """Positions that can be written."""
        return [n for n, entry in enumerate(self.entries) if entry is None]

    def write(self, segments: tuple[Segment | None, ...], free: list[int], tile: int, threshold: int) -> None:
        """Slot i goes to the i-th free position; an empty slot leaves it free."""
        for position, segment in zip(free, segments):
            if segment is not None:
                self.entries[position] = _Entry(segment, tile, 1 <= segment.nonzeros <= threshold)

    def waiting(self, tile: int) -> list[_Entry]:
        """Segments of `tile` that no lane has taken, in the order of positions."""
        return [entry for entry in self.entries if entry is not None and entry.tile == tile and not entry.lane]

    def dense_offer(self, tile: int) -> _Entry | None:
        """The one with the most non-zeros; under `threshold` no thin one."""
        keep_thin = self._config.allocation is not Allocation.THRESHOLD
        mine = [entry for entry in self.waiting(tile) if keep_thin or not entry.thin]
        return max(mine, key=lambda entry: entry.segment.nonzeros, default=None)

    def sparse_offer(self, tile: int) -> _Entry | None:
        """The thin one with the fewest non-zeros."""
        mine = [entry for entry in self.waiting(tile) if entry.thin]
        return min(mine, key=lambda entry: entry.segment.nonzeros, default=None)

    def issued(self, lane: str) -> None:
        """The lane has issued what it took."""
        self.entries = [None if entry is not None and entry.lane == lane else entry for entry in self.entries]


class _Lanes:
    """Pools, the dense issue of this cycle and the segment in the sparse lane."""

    def __init__(self, tiles: list[Tile], config: MachineConfig) -> None:
        self._tiles, self._config = tiles, config
        self.pools = [Pool(config) for _ in range(config.residues)]
        self._beats = [(n, beat, b + 1 == len(tile.beats))
                       for n, tile in enumerate(tiles) for b, beat in enumerate(tile.beats)]
        self._next_beat = 0
        self.tile = 0                             # being issued
        self.received = 0                         # tiles whose last beat is in the pools
        self._started = False
        self._dense: list[Segment] = []
        self._sparse = 0                          # non-zeros left of the segment in the sparse lane

    def op(self) -> Op | None:
        """This cycle's op: what the lanes took; it closes the tile when nothing of it is left."""
        closes = (self.tile < self.received and self._sparse <= 1
                  and not any(pool.waiting(self.tile) for pool in self.pools))
        if not (self._dense or self._sparse or closes):
            return None
        digits = sum(segment.nonzeros for segment in self._dense) + bool(self._sparse)
        return Op(self.tile, not self._started, closes, len(self._dense), int(self._sparse > 0), digits)

    def issue(self, op: Op | None) -> None:
        """The op is taken: the lanes take the pools' offers for the next cycle."""
        if op is not None:
            self._started = not op.last
            self.tile += op.last
        self._sparse = max(0, self._sparse - 1)
        for pool in self.pools:
            pool.issued("dense")
            if self._sparse == 0:
                pool.issued("sparse")
        self._dense = []
        waiting = [len(pool.waiting(self.tile)) for pool in self.pools]
        untouched = list(range(len(self.pools)))
        for j in range(self._config.depth):
            offers = [(n, self.pools[n].dense_offer(self.tile))
                      for n in range(j, len(self.pools), self._config.depth)]
            n, best = max(offers, key=lambda offer: -1 if offer[1] is None else offer[1].segment.nonzeros)
            if best is not None:
                best.lane = "dense"
                self._dense.append(best.segment)
                untouched.remove(n)
        if self._sparse == 0 and self._config.sparse_lanes:
            self._take_thinnest(untouched, waiting)

    def _take_thinnest(self, pools: list[int], waiting: list[int]) -> None:
        """The sparse lane is free: the thinnest offer of the pools that the dense lane leaves alone.

        Balance: once all of the tile is here, only what has fewer non-zeros than segments wait for that dense slot.
        """
        limited = self._config.allocation is Allocation.BALANCE and self.tile < self.received
        offers = []
        for n in pools:
            offer = self.pools[n].sparse_offer(self.tile)
            dense_needs = sum(waiting[n % self._config.depth::self._config.depth])
            if offer is not None and not (limited and offer.segment.nonzeros >= dense_needs):
                offers.append(offer)
        best = min(offers, key=lambda offer: offer.segment.nonzeros, default=None)
        if best is not None:
            best.lane = "sparse"
            self._sparse = best.segment.nonzeros

    def room(self) -> list[list[int]] | None:
        """Free positions of every pool where a beat may enter in this cycle: each pool has room for a whole beat,
        and at most one tile waits beside the one being issued."""
        per_pool = self._config.slots_per_residue
        free = [pool.free() for pool in self.pools]
        fits = self.received - self.tile < 2 and all(len(positions) >= per_pool for positions in free)
        return free if fits and self._next_beat < len(self._beats) else None

    def receive(self, room: list[list[int]] | None) -> None:
        """The next beat enters, into positions that were free before this cycle's picks."""
        if room is None:
            return
        tile, beat, last = self._beats[self._next_beat]
        per_pool = self._config.slots_per_residue
        for j, (pool, free) in enumerate(zip(self.pools, room)):
            pool.write(beat[j * per_pool:(j + 1) * per_pool], free, tile, self._tiles[tile].threshold)
        self._next_beat += 1
        self.received += last


def schedule(tiles: list[Tile], config: MachineConfig, trace: bool = False) -> Schedule:
    """Walk successive tiles through encoder, pools, lanes and drain, cycle by cycle.

    Both lanes change tile together. An op reaches the accumulators two cycles after its issue; while the drain holds
    the accumulators, issues wait but beats still enter the pools. Raises ValueError where nothing moves any more.
    """
    result = Schedule()
    lanes, control = _Lanes(tiles, config), drain(tiles, config)
    pipeline: list[Op | None] = [None, None]
    cycle, quiet = 1, 0                # the encoder's register takes the first operand in cycle 0
    while not control.finished:
        advance = control.step(pipeline[-1])
        room = lanes.room()
        if advance:
            op = lanes.op()
            pipeline = [op, pipeline[0]]
            if op is not None:
                result.dense_issues += op.dense
                result.sparse_issues += op.sparse
                result.digits += op.digits
            if trace:
                result.trace.append((op.dense, op.sparse) if op else (0, 0))
            lanes.issue(op)
        elif trace:
            result.trace.append((0, 0))
        lanes.receive(room)
        quiet = 0 if any(pipeline) else quiet + 1
        if quiet > 64:
            raise ValueError(f"schedule stands still in tile {lanes.tile} of {len(tiles)}")
        cycle += 1
    result.cycles = cycle
    return result


def best_split(tile: Tile, config: MachineConfig) -> int:
    """Fewest cycles in which a tile's segments fit the lanes, from its histogram alone: the bound of the schedule.

    The sparse lane takes the thinnest segments, one non-zero a cycle; the dense lane the others, `depth` a cycle
    (residues are not asked for here, so the bound is never too high). Init, fill and drain are not in it.
    """
    counts = sorted(segment.nonzeros for beat in tile.beats for segment in beat if segment is not None)
    if not counts:
        return 1
    if not config.sparse_lanes:
        return -(-len(counts) // config.depth)
    best, sparse = len(counts), 0
    for taken in range(len(counts) + 1):
        if taken:
            sparse += counts[taken - 1]
        best = min(best, max(-(-(len(counts) - taken) // config.depth), sparse))
    return max(1, best)
