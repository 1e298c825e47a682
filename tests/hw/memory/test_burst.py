# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.memory.burst import BurstSplitter, Grains
from model.exact.memory.transfer import bursts

SIZES = [(8, 16, 4), (16, 16, 16), (64, 16, 2), (16, 128, 8), (64, 64, 64), (64, 64, 1)]


@pytest.mark.parametrize("bus_bytes, unit, beats", SIZES)
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_bursts_are_the_laws(bus_bytes, unit, beats, stall, play):
    draw, grains = random.Random(unit), Grains(bus_bytes, unit, beats)
    asked = [{"address": draw.randrange(2**63) // unit * unit, "units": draw.choice((1, 2, draw.randint(1, 300))),
              "last": draw.randint(0, 1)} for _ in range(20)]
    want = []
    for item in asked:
        cut = bursts(item["address"], item["units"] * unit, bus_bytes, beats)
        want += [(*burst, item["last"] and n + 1 == len(cut)) for n, burst in enumerate(cut)]
    run = play(BurstSplitter(bus_bytes, unit, beats), {"command": asked}, {"burst": len(want)}, stall=stall)
    got = []
    for beat in run.beats["burst"]:
        begin, end = beat["address"], beat["address"] + beat["grains"] * grains.bytes
        got.append((begin // bus_bytes * bus_bytes, -(-end // bus_bytes) - begin // bus_bytes, beat["last"]))
    assert got == want
    assert sum(beat["grains"] for beat in run.beats["burst"]) == sum(item["units"] for item in asked) * grains.of_unit


def test_a_burst_a_cycle_with_the_stated_latency(play):
    asked = [{"address": 4096 * n, "units": n % 3 + 1, "last": 1} for n in range(30)]
    run = play(BurstSplitter(16, 16, 1), {"command": asked}, {"burst": 60})
    assert run.moved["burst"][0] - run.moved["command"][0] == BurstSplitter.latency
    assert run.moved["burst"] == list(range(run.moved["burst"][0], run.moved["burst"][0] + 60))
