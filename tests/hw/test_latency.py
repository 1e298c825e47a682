# SPDX-License-Identifier: Apache-2.0
"""What docstrings state of latency and throughput, of the PE group, the group and its schedule."""

import pytest
import torch

from hw.compute.group import Group
from hw.compute.peg import PEG
from hw.config import Lane, load_config
from hw.payloads import Init
from model.exact.encode.encoder import beats
from model.exact.route.allocation import Tile, schedule
from verif.digits import segment_beat
from verif.jobs import left_beats, panel_of

CONFIGS = [("tiny", {}), ("tiny", {"drain": "inplace", "allocation": "threshold"}),
           ("tiny", {"depth": 2, "allocation": "none"}), ("dense8", {}),
           ("dense8", {"depth": 2, "scan": 2, "slots": 2, "drain": "shadow"}),
           ("tiny", {"allocation": "merge", "depth": 2, "scan": 8, "slots": 8})]
NAMES = [f"{preset}-{'-'.join(map(str, changes.values()))}" for preset, changes in CONFIGS]


def small(preset, changes):
    return load_config(preset).replace(ccpes=1, right_rows=32, k_max=256, **changes)


def job(length, **fields):
    return {"rows": 4, "cols": 4, "k": length, "init": 0, "transposed": 0, "emit": 1, "slot": 0, "release": 0,
            "threshold": 2, "tag": 0, **fields}


def rows(length):
    return [{"value": [k - 9, 1, -1, 127], "last": k == length - 1} for k in range(length)]


def segments(current, config, skip=True):
    if config.lane is Lane.NATIVE:
        return left_beats(current, torch.zeros_like(current), config)
    sent = beats(current, torch.zeros_like(current), config, skip)
    return [segment_beat(beat, n + 1 == len(sent)) for n, beat in enumerate(sent)]


@pytest.mark.parametrize("preset, changes", CONFIGS, ids=NAMES)
def test_a_result_leaves_after_the_stated_latency(play, preset, changes):
    config = small(preset, changes)
    current = torch.full((4, 1), 5)
    group = Group(config)                       # the PEG's latency and the encoder's
    operands = left_beats(current, torch.zeros_like(current), config)
    run = play(group, {"job": [job(1)], "right": rows(1), "left": operands}, {"accumulators": 4}, late={"left": 20})
    assert run.moved["accumulators"][0] - run.moved["left"][-1] == group.latency
    assert run.moved["accumulators"][3] - run.moved["accumulators"][0] == 3


@pytest.mark.parametrize("preset, changes", CONFIGS, ids=NAMES)
def test_a_tile_costs_its_issues_and_the_drain_in_place(play, preset, changes):
    config, length, tiles = small(preset, changes), 32, 6
    current = torch.full((4, length), 0x55)                     # two planes of four non-zeros
    sent = segments(current, config)
    run = play(PEG(config), {"job": [job(length)] * tiles, "right": rows(length), "left": sent * tiles},
               {"result": 4 * tiles}, late={"left": 40})
    first = run.moved["result"][::4]
    planes = 1 if config.lane is Lane.NATIVE else 2
    cost = planes * length // config.depth + (4 if config.drain.value == "inplace" else 0)
    assert [b - a for a, b in zip(first, first[1:], strict=False)] == [cost] * (tiles - 1)


SPARSE = {"allocation": "sparse", "sparse_sum": "shared", "queue_depth": 8}
MERGE = {"allocation": "merge", "scan": 8, "slots": 8, "queue_depth": 8}
#: Every policy with either drain, shared sums and depths among them.
SCHEDULED = {
    "balance": {}, "balance-inplace": {"drain": "inplace"}, "balance-shared": {"sparse_sum": "shared"},
    "balance-shared-deep": {"sparse_sum": "shared", "depth": 2, "drain": "inplace"},
    "threshold": {"allocation": "threshold", "depth": 2}, "threshold-inplace": {"allocation": "threshold",
                                                                               "drain": "inplace"},
    "none": {"depth": 2, "allocation": "none"}, "none-inplace": {"allocation": "none", "queue_depth": 8,
                                                                 "drain": "inplace"},
    "sparse": SPARSE, "sparse-inplace": {**SPARSE, "drain": "inplace"},
    "merge-1": MERGE, "merge-1-inplace": {**MERGE, "drain": "inplace"},
    "merge-2": {**MERGE, "depth": 2}, "merge-2-buses": {**MERGE, "depth": 2, "buses": 4, "drain": "inplace"},
    "merge-4": {**MERGE, "depth": 4}, "merge-4-buses": {**MERGE, "depth": 4, "buses": 4, "drain": "inplace"},
}
#: Inits in turn, (kind, transposed), each behind a long tile and behind one without a digit.
STARTS = [(Init.ZERO, 0), (Init.BIAS, 0), (Init.TILE, 0), (Init.HOLD, 0), (Init.TILE, 1)] * 4
PANELS = ("sparse", "near", "zero", "dense", "zero", "zero", "sparse")


@pytest.mark.parametrize("name", SCHEDULED)
def test_a_group_takes_the_cycles_of_the_laws_schedule(play, name):
    config, generator = small("tiny", {"queue_depth": 8, **SCHEDULED[name]}), torch.Generator().manual_seed(5)
    tiles, operands, jobs, inits, length = [], [], [], [], 9
    for n, (init, transposed) in enumerate(STARTS):
        current, reference = panel_of(PANELS[n % len(PANELS)], length, generator)
        tiles.append(Tile(beats(current, reference, config), 2, init, bool(transposed)))
        operands += left_beats(current, reference, config)
        jobs.append(job(length, init=init.value, transposed=transposed))
        inits += [{"value": [1, 2, 3, 4]}] * {Init.BIAS: 1, Init.TILE: 4}.get(init, 0)
    run = play(Group(config), {"job": jobs, "right": rows(length), "init": inits, "left": operands},
               {"accumulators": 4 * len(tiles)}, late={"left": 40})
    cycles = run.moved["accumulators"][-1] - run.moved["left"][0] + 1
    assert cycles == schedule(tiles, config).cycles
