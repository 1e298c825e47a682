# SPDX-License-Identifier: Apache-2.0
"""Schedules of every policy: each digit issued once, never below the bound, and what the policies promise."""

import pytest
import torch

from hw.config import load_config
from hw.payloads import Init
from model.exact.encode.encoder import beats
from model.exact.route.allocation import best_split, schedule
from model.exact.route.lanes import Tile
from verif.jobs import KINDS, panel_of

SPARSE = {"allocation": "sparse", "sparse_sum": "shared", "queue_depth": 8}
MERGE = {"allocation": "merge", "scan": 8, "slots": 8, "queue_depth": 8}
MACHINES = {
    "none": {"allocation": "none", "queue_depth": 8}, "none-4": {"allocation": "none", "depth": 4}, "sparse": SPARSE,
    "threshold": {"allocation": "threshold"}, "threshold-2": {"allocation": "threshold", "depth": 2},
    "balance": {}, "balance-2": {"depth": 2}, "merge": MERGE, "merge-2": {**MERGE, "depth": 2},
    "merge-4": {**MERGE, "depth": 4, "buses": 4},
}


def tiles(config, number=12, threshold=2, **fields):
    generator = torch.Generator().manual_seed(7)
    return [Tile(beats(*panel_of(KINDS[n % len(KINDS)], 24, generator), config, n % 5 != 0), threshold, **fields)
            for n in range(number)]


def machine(name, **changes):
    return load_config("tiny").replace(**{**({"scan": 8, "slots": 8, "queue_depth": 8} if "4" in name else {}),
                                          **MACHINES[name], **changes})


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("drain", ["shadow", "inplace"])
def test_every_digit_once_and_never_below_the_bound(name, drain):
    config = machine(name, drain=drain)
    work = tiles(config)
    found = schedule(work, config, trace=True)
    segments = [segment for tile in work for beat in tile.beats for segment in beat if segment]
    assert found.digits == sum(segment.count for segment in segments)
    assert found.dense_issues == sum(dense for dense, _ in found.trace)
    assert found.sparse_issues == sum(sparse for _, sparse in found.trace)
    assert max(sparse for _, sparse in found.trace) <= config.sparse_lanes
    assert found.cycles >= sum(best_split(tile, config) for tile in work)
    if not config.sparse_lanes:
        assert found.dense_issues == len(segments) and found.sparse_issues == 0
    if not config.dense_depth:
        assert found.dense_issues == 0 and found.sparse_issues == found.digits


def test_the_threshold_splits_thick_from_thin():
    config = machine("threshold")
    for threshold in range(5):
        work = tiles(config, threshold=threshold)
        segments = [segment for tile in work for beat in tile.beats for segment in beat if segment]
        found = schedule(work, config)
        assert found.dense_issues == sum(segment.count > threshold for segment in segments)
        assert found.sparse_issues == sum(segment.count for segment in segments if segment.count <= threshold)


def test_merging_takes_fewer_cycles_than_a_segment_an_issue():
    generator = torch.Generator().manual_seed(7)
    cycles = {}
    for name in ("none", "merge"):
        config = machine(name)
        generator.manual_seed(7)
        work = [Tile(beats(*panel_of("sparse", 24, generator), config)) for _ in range(8)]
        cycles[name] = schedule(work, config).cycles
    assert cycles["merge"] < 0.8 * cycles["none"]


def test_a_tile_that_does_not_leave_costs_no_drain():
    config = machine("balance", drain="inplace")
    kept = schedule(tiles(config, init=Init.HOLD, emit=False), config)
    left = schedule(tiles(config), config)
    assert left.cycles - kept.cycles >= 4 * 11


def test_rows_that_leave_slowly_hold_the_next_tile():
    config = machine("merge-4", requantise_cycles=4)
    slow, fast = (schedule(tiles(config, row_cycles=cycles), config).cycles for cycles in (4, 1))
    assert slow > fast
