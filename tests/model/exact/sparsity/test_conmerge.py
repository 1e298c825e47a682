# SPDX-License-Identifier: Apache-2.0
from itertools import product

import pytest
import torch

from hw.errors import VidaError
from model.exact.sparsity.conmerge import Conflict, Order, Packing, Unit, condense, merge, run_merged
from model.exact.sparsity.ffn_reuse import value_mask

READINGS = list(product(Unit, Conflict, Order))


def by_definition(mask, rows, lanes, depth, unit, conflict, order):
    """Passes as lists of {(lane, array row): (row, column)}, and conflict vectors, from nested lists."""
    passes, conflicts = [], []
    for top in range(0, len(mask), rows):
        tile = mask[top : top + rows]
        columns = [c for c in range(len(tile[0])) if any(line[c] for line in tile)]
        if order is Order.DENSITY:
            columns = sorted(columns, key=lambda c: -sum(line[c] for line in tile))    # stable: ties by column
        size = lanes if unit is Unit.BLOCK else 1
        groups = [columns[i : i + size] for i in range(0, len(columns), size)]
        bins = []                                # each: [number of groups, {(lane, array row): (row, column)}]
        for group in groups:
            for one in bins:
                good = one[0] < depth
                for lane, c in enumerate(group):
                    wanted = [r for r in range(len(tile)) if tile[r][c]]
                    taken = [r for (at, r) in one[1] if at == lane]
                    if conflict is Conflict.REFUSE:
                        good = good and not set(wanted) & set(taken)
                    else:
                        good = good and len(wanted) + len(taken) <= rows
                if good:
                    break
            else:
                one = [0, {}]
                bins.append(one)
            one[0] += 1
            for lane, c in enumerate(group):
                wanted = [r for r in range(len(tile)) if tile[r][c]]
                late = [r for r in wanted if (lane, r) in one[1]]
                if late:
                    conflicts.append((c, sum(2**r for r in late)))
                for r in wanted:
                    if r not in late:
                        one[1][lane, r] = (top + r, c)
                for r in late:
                    at = min(x for x in range(rows) if (lane, x) not in one[1])
                    one[1][lane, at] = (top + r, c)
        if unit is Unit.BLOCK:
            passes += [one[1] for one in bins]
        else:
            for start in range(0, len(bins), lanes):
                joined = {}
                for lane, one in enumerate(bins[start : start + lanes]):
                    joined |= {(lane, at): what for (_, at), what in one[1].items()}
                passes.append(joined)
    return passes, conflicts


def check(mask, packing):
    passes, conflicts = by_definition(mask.tolist(), packing.rows, packing.lanes, packing.depth,
                                      packing.unit, packing.conflict, packing.order)
    schedule = merge(mask, packing)
    expected = sorted((p, lane, at, *what) for p, one in enumerate(passes) for (lane, at), what in one.items())
    assert schedule.passes == len(passes)
    assert [tuple(line) for line in schedule.elements.tolist()] == expected
    assert list(schedule.conflicts) == conflicts
    assert sorted(schedule.elements[:, 3:].tolist()) == torch.argwhere(mask).tolist()
    assert schedule.passes <= schedule.condensed_passes <= schedule.dense_passes
    return schedule


@pytest.mark.parametrize(("unit", "conflict", "order"), READINGS)
def test_captured_masks_follow_the_definition(captured, unit, conflict, order):
    hidden = captured("fc2")[0].current.reshape(64, -1)
    for threshold in (0, 3, 20):
        mask = value_mask(hidden, threshold)
        check(mask[:20], Packing(8, 8, 3, unit, conflict, order))        # the last tile has 4 rows
    assert check(mask[:16], Packing(16, 16, 2, unit, conflict, order)).elements.shape[1] == 5


@pytest.mark.parametrize(("unit", "conflict", "order"), READINGS)
def test_all_none_one_and_equal(unit, conflict, order):
    packing = Packing(4, 2, 4, unit, conflict, order)
    full = check(torch.ones(4, 6, dtype=torch.bool), packing)
    assert full.passes == full.dense_passes == 3 and not full.conflicts
    empty = check(torch.zeros(4, 6, dtype=torch.bool), packing)
    assert empty.passes == 0 and empty.elements.shape == (0, 5)
    one = torch.zeros(5, 3, dtype=torch.bool)
    one[4, 2] = True
    assert check(one, packing).elements.tolist() == [[0, 0, 0, 4, 2]]
    row = torch.zeros(4, 8, dtype=torch.bool)
    row[1] = True                                                        # every column wants the same row
    schedule = check(row, packing)
    assert schedule.passes == (1 if conflict is Conflict.MOVE else 4)
    assert bool(schedule.conflicts) == (conflict is Conflict.MOVE)


def test_columns_without_needs_are_condensed_away():
    mask = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 1]], dtype=torch.bool)
    assert [kept.tolist() for kept in condense(mask, 2)] == [[0], [2]]


def test_merged_schedule_computes_the_needed_outputs(captured, integers):
    job = captured("fc1")[0]
    left, right = job.current.reshape(64, -1)[:16], job.right
    mask, kept = integers(16, right.shape[1], low=0, high=5) == 0, integers(16, right.shape[1], seed=1)
    expected = torch.where(mask, left @ right, kept)
    for unit, conflict, order in READINGS:
        schedule = merge(mask, Packing(8, 8, 3, unit, conflict, order))
        assert torch.equal(run_merged(left, right, schedule, kept), expected)


def test_mistakes_are_refused():
    with pytest.raises(VidaError, match="depth 0"):
        Packing(depth=0)
    with pytest.raises(VidaError, match="63 rows"):
        merge(torch.ones(1, 1, dtype=torch.bool), Packing(rows=63))
