# SPDX-License-Identifier: Apache-2.0
"""Law of the allocation: how long successive tiles take on a machine, whatever its policy.

One schedule serves the law, the cycle figures and the exploration of arrays. It knows nothing of outside stalls:
operands, jobs, inits and takers of results are always there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hw.config import TILE, Allocation, MachineConfig
from model.exact.recover.drain import Op, drain
from model.exact.route.lanes import Lanes, Tile
from model.exact.route.merge import MergeLanes
from model.exact.route.pools import PoolLanes


@dataclass
class Schedule:
    """What the lanes did."""

    cycles: int = 0                   #: first operand accepted by the encoder to last result row accepted
    dense_issues: int = 0             #: segments issued to the dense lane (merge: finished)
    sparse_issues: int = 0            #: digits issued to the sparse lane
    digits: int = 0                   #: digits issued to both
    trace: list[tuple[int, int]] = field(default_factory=list)  #: (dense, sparse) issues in each cycle of lanes


def lanes(tiles: list[Tile], config: MachineConfig) -> Lanes:
    """The law of the policy that the configuration asks for."""
    return MergeLanes(tiles, config) if config.merges else PoolLanes(tiles, config)


def schedule(tiles: list[Tile], config: MachineConfig, trace: bool = False) -> Schedule:
    """Walk successive tiles through encoder, pools, lanes and drain, cycle by cycle.

    Both lanes change tile together. An op reaches the accumulators two cycles after its issue; while the drain holds
    the accumulators, issues wait but beats still enter the pools. Raises ValueError where nothing moves any more.
    """
    result = Schedule()
    issuing, control = lanes(tiles, config), drain(tiles, config)
    arriving: Op | None = None         # at the accumulators
    under_way: Op | None = None
    cycle, quiet, count = 1, 0, len(tiles)      # the encoder's register takes the first operand in cycle 0
    while issuing.tile < count or not control.finished:
        advance = control.step(arriving)
        room = issuing.room()
        if advance:
            op = issuing.op()
            arriving, under_way = under_way, op
            if op is not None:
                result.dense_issues += op.dense
                result.sparse_issues += op.sparse
                result.digits += op.digits
            if trace:
                result.trace.append((op.dense, op.sparse) if op else (0, 0))
            issuing.issue(op)
        elif trace:
            result.trace.append((0, 0))
        issuing.receive(room)
        quiet = 0 if arriving or under_way else quiet + 1
        if quiet > 64:
            raise ValueError(f"schedule stands still in tile {issuing.tile} of {count}")
        cycle += 1
    result.cycles = cycle
    return result


def best_split(tile: Tile, config: MachineConfig) -> int:
    """Fewest cycles in which a tile's segments fit the lanes, from its histogram alone: the bound of the schedule.

    The sparse lane takes the thinnest segments, one digit a cycle; the dense lane the others, `depth` a cycle
    (residues are not asked for here, so the bound is never too high). Under `merge` each row issues `depth` of its
    digits a cycle. Init, fill and drain are not in it.
    """
    segments = [segment for beat in tile.beats for segment in beat if segment is not None]
    if config.merges:
        fullest = max(sum(segment.rows >> row & 1 for segment in segments) for row in range(TILE))
        return max(1, -(-fullest // config.depth))
    counts = sorted(segment.count for segment in segments)
    if config.allocation is Allocation.SPARSE:
        return max(1, sum(counts))
    best, sparse = -(-len(counts) // config.depth), 0
    for taken in range(1, len(counts) + 1 if config.sparse_lanes else 1):
        sparse += counts[taken - 1]
        best = min(best, max(-(-(len(counts) - taken) // config.depth), sparse))
    return max(1, best)
