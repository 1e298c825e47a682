# SPDX-License-Identifier: Apache-2.0
"""Every variant of the array against one law: operands into a group, accumulators and int8 out, bit for bit."""

from itertools import count

import pytest

from hw.compute.group import Group
from hw.config import Lane, load_config
from hw.payloads import Init
from verif.jobs import Generator

DEEP = {"scan": 8, "slots": 8}
SPARSE = {"allocation": "sparse", "sparse_sum": "shared", "queue_depth": 8}
MERGE = {"allocation": "merge", **DEEP}
NATIVE = {"lane": "native", "allocation": "none", "queue_depth": 8}
#: All policies; depth, drain, place of the sparse sums, buses and the requantiser's parts spread over them. Balance of
#: depth 4 takes most of a minute here: verif.regress has it.
VARIANTS = {
    "none-1-inplace": {"allocation": "none", "queue_depth": 8, "drain": "inplace"},
    "none-2-shadow": {"allocation": "none", "depth": 2, "ccpes": 2, "requantise_cycles": 2},
    "none-4-inplace": {"allocation": "none", "depth": 4, "drain": "inplace", "scan": 12},
    "sparse-inplace": {**SPARSE, "drain": "inplace", "scan": 3, "requantise_cycles": 4},
    "sparse-shadow": SPARSE,
    "threshold-1-inplace-own": {"allocation": "threshold", "drain": "inplace", "ccpes": 2},
    "threshold-1-shadow-shared": {"allocation": "threshold", "sparse_sum": "shared", "scan": 2, "slots": 2},
    "threshold-2-shadow-own": {"allocation": "threshold", "depth": 2},
    "balance-1-shadow-own": {"ccpes": 2, "requantise_cycles": 4},
    "balance-1-inplace-shared": {"sparse_sum": "shared", "drain": "inplace"},
    "balance-2-inplace-own": {"depth": 2, "drain": "inplace"},
    "balance-2-shadow-shared": {"depth": 2, "sparse_sum": "shared", "queue_depth": 3},
    "merge-1-inplace": {**MERGE, "drain": "inplace", "queue_depth": 8},
    "merge-1-shadow": {"allocation": "merge", "ccpes": 2, "queue_depth": 4, "requantise_cycles": 2},
    "merge-2-inplace-2": {**MERGE, "depth": 2, "drain": "inplace"},
    "merge-2-shadow-4": {**MERGE, "depth": 2, "buses": 4, "queue_depth": 4},
    "merge-4-inplace-4": {**MERGE, "depth": 4, "buses": 4, "drain": "inplace"},
    "merge-4-shadow-2": {**MERGE, "depth": 4, "scan": 16, "slots": 16, "requantise_cycles": 4},
    "native-1-inplace": {**NATIVE, "drain": "inplace", "ccpes": 2},
    "native-1-shadow": {**NATIVE, "requantise_cycles": 2},
    "native-2-inplace": {**NATIVE, "depth": 2, "drain": "inplace"},
    "native-4-shadow": {**NATIVE, "depth": 4},
}


def machine(name):
    return load_config("tiny").replace(**{"ccpes": 1, "right_rows": 24, "k_max": 256, **VARIANTS[name]})


def starts(work):
    """Kinds of init; a transposed tile is one of its own."""
    return {(job["init"], job["transposed"] and job["init"] == Init.TILE.value) for job in work.job}


def jobs(config):
    """The first random jobs that begin in every way, skip and do not, emit nothing, either and both."""
    for seed in count(1):
        work = Generator(config, seed, 20).make(4)
        skips = {skip for _, _, skip in work.panels}
        if len(starts(work)) == 5 and len(skips) == 2 and {job["emit"] for job in work.job} == {0, 1, 2, 3}:
            return work


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_gives_the_bits_of_the_law(play, name):
    config = machine(name)
    work = jobs(config)
    feed = {stream: getattr(work, stream) for stream in ("job", "left", "right", "init", "scale")}
    run = play(Group(config), feed, {"accumulators": len(work.accumulators), "int8": len(work.int8)}, stall=0.4,
               phase=150)
    for stream, want in (("accumulators", work.accumulators), ("int8", work.int8)):
        for row, (got, expected) in enumerate(zip(run.beats[stream], want, strict=True)):
            assert got == expected, f"{stream} tile {row // 4} row {row % 4}"


def test_every_policy_and_choice_is_among_the_variants():
    configs = [machine(name) for name in VARIANTS]
    digits = [config for config in configs if config.lane is Lane.DIGIT]
    assert {(config.allocation.value, config.drain.value) for config in digits} == {
        (allocation, drain) for allocation in ("none", "sparse", "threshold", "balance", "merge")
        for drain in ("inplace", "shadow")}
    assert {(config.depth, config.buses) for config in digits if config.allocation.value == "merge"} == {
        (1, 2), (2, 2), (2, 4), (4, 2), (4, 4)}
    assert {config.sparse_sum.value for config in digits if config.sparse_lanes} == {"own", "shared"}
    assert {config.requantise_cycles for config in configs} == {1, 2, 4}
    assert {config.depth for config in configs if config.lane is Lane.NATIVE} == {1, 2, 4}
