# SPDX-License-Identifier: Apache-2.0
import pytest

from hw.compute.peg import PEG
from hw.config import Lane, load_config
from verif.jobs import Generator

DEEP = {"scan": 8, "slots": 8}
CONFIGS = [("tiny", {}), ("tiny", {"drain": "inplace"}), ("tiny", {"allocation": "merge", "depth": 2, **DEEP}),
           ("dense8", {"drain": "shadow"}), ("dense8", {"depth": 2, "scan": 2, "slots": 2})]
NAMES = [f"{preset}-{'-'.join(f'{value}' for value in changes.values())}" for preset, changes in CONFIGS]


@pytest.mark.parametrize("preset, changes", CONFIGS, ids=NAMES)
def test_counters_count_what_happened(play, preset, changes):
    config = load_config(preset).replace(ccpes=1, right_rows=24, k_max=256, **changes)
    work = Generator(config, 2, 20).make(4)
    left = work.left if config.lane is Lane.NATIVE else work.segments
    run = play(PEG(config), {"job": work.job, "left": left, "right": work.right, "init": work.init},
               {"result": len(work.result)})
    assert run.beats["result"] == work.result
    counters = run.counters
    assert counters["tiles"] == len(work.job)
    assert counters["ops"] + counters["wait_left"] + counters["wait_job"] <= counters["cycles"]
    if config.lane is Lane.NATIVE:
        beats = sum(-(-job["k"] // config.depth) for job in work.job)
        assert counters["ops"] == beats and counters["dense_issues"] == beats * config.depth
        assert counters["digits"] == beats * config.depth * 4
        assert counters["sparse_issues"] == 0
    else:
        assert counters["digits"] == work.digits
        assert counters["dense_issues"] <= sum(work.sizes.values())
