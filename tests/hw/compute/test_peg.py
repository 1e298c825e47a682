# SPDX-License-Identifier: Apache-2.0
import pytest

from hw.compute.peg import PEG
from hw.config import Lane, load_config
from verif.jobs import Generator

#: `balance` of depth 4 takes most of a minute here: verif.regress has it.
CONFIGS = [
    ("tiny", {}), ("tiny", {"drain": "inplace"}), ("tiny", {"allocation": "threshold"}),
    ("tiny", {"allocation": "threshold", "drain": "inplace", "depth": 2}),
    ("tiny", {"allocation": "balance", "drain": "inplace", "depth": 2}),
    ("tiny", {"allocation": "none", "depth": 4}),
    ("tiny", {"allocation": "none", "drain": "inplace", "queue_depth": 8}),
    ("dense8", {}), ("dense8", {"drain": "shadow"}), ("dense8", {"depth": 2, "scan": 2, "slots": 2}),
    ("dense8", {"depth": 4, "scan": 4, "slots": 4, "drain": "shadow"}),
]
NAMES = [f"{preset}-{'-'.join(f'{value}' for value in changes.values())}" for preset, changes in CONFIGS]


def small(preset, changes):
    """Two CCPEs, one for the deepest: Amaranth's simulator is slow."""
    return load_config(preset).replace(ccpes=1 if changes.get("depth") == 4 else 2, right_rows=24, k_max=256,
                                       **changes)


def check(play, config, seed, stall, slots=4):
    work = Generator(config, seed, 20).make(slots)
    left = work.left if config.lane is Lane.NATIVE else work.segments
    run = play(PEG(config), {"job": work.job, "left": left, "right": work.right, "init": work.init},
               {"result": len(work.result)}, stall, seed)
    for i, (got, want) in enumerate(zip(run.beats["result"], work.result, strict=True)):
        assert got == want, f"seed {seed} tile {i // 4} row {i % 4}"
    return run, work


@pytest.mark.parametrize("preset, changes", CONFIGS, ids=NAMES)
def test_random_jobs_equal_the_law_under_stalls(play, preset, changes):
    check(play, small(preset, changes), 1, 0.3)


@pytest.mark.parametrize("preset, changes", CONFIGS[:2] + CONFIGS[8:10], ids=NAMES[:2] + NAMES[8:10])
def test_counters_count_what_happened(play, preset, changes):
    config = small(preset, changes)
    run, work = check(play, config, 2, 0.0)
    counters = run.counters
    assert counters["tiles"] == len(work.job)
    assert counters["ops"] + counters["wait_left"] + counters["wait_job"] <= counters["cycles"]
    if config.lane is Lane.NATIVE:
        beats = sum(-(-job["k"] // config.depth) for job in work.job)
        assert counters["ops"] == beats and counters["dense_issues"] == beats * config.depth
        assert counters["digits"] == sum(int((current != 0).sum()) for current, _, _ in work.panels)
        assert counters["sparse_issues"] == 0
    else:
        assert counters["digits"] == sum(number * times for number, times in work.nonzeros.items())
        assert counters["dense_issues"] <= sum(work.nonzeros.values())
