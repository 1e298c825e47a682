# SPDX-License-Identifier: Apache-2.0
import random

import pytest
import torch
from amaranth.sim import Simulator

from hw.config import load_config
from hw.encode.sad import SadUnit
from model.exact.encode.sad import sad


def make_token(rng, dimension, candidates, threshold, span=128):
    token = [rng.randrange(-span, span) for _ in range(dimension)]
    return token, [[rng.randrange(-span, span) for _ in token] for _ in range(candidates)], threshold


def beats(work, lanes, rng):
    """Every pass of every candidate; what `count` excludes is noise."""
    for token, candidates, threshold in work:
        for n, candidate in enumerate(candidates):
            for start in range(0, len(token), lanes):
                count = min(lanes, len(token) - start)
                noise = [[rng.randrange(-128, 128) for _ in range(lanes - count)] for _ in range(2)]
                last = start + count == len(token)
                yield {"token": token[start:start + count] + noise[0],
                       "candidate": candidate[start:start + count] + noise[1], "count": count,
                       "last_pass": last, "last_candidate": last and n == len(candidates) - 1,
                       "threshold": threshold if last else rng.randrange(threshold + 1)}


def run(dut, lanes, work, pause_in=0.0, pause_out=0.0, seed=1):
    """Results, and the cycles in which beats were accepted and results taken."""
    rng = random.Random(seed)
    results, accepted, taken, cycle = [], [], [], [0]

    async def feed(ctx):
        for beat in beats(work, lanes, rng):
            while rng.random() < pause_in:
                await ctx.tick()
            ctx.set(dut.beats.payload, beat)
            ctx.set(dut.beats.valid, 1)
            await ctx.tick().until(dut.beats.ready)
            accepted.append(cycle[0])
            ctx.set(dut.beats.valid, 0)

    async def drain(ctx):
        while len(results) < len(work):
            ctx.set(dut.result.ready, rng.random() >= pause_out)
            _, _, valid, ready, p = await ctx.tick().sample(dut.result.valid, dut.result.ready, dut.result.p)
            if valid and ready:
                results.append((p.minimum, p.index, p.informative))
                taken.append(cycle[0])

    async def count(ctx):
        async for _ in ctx.tick():
            cycle[0] += 1
            assert cycle[0] < 50_000, f"stuck after {len(results)} of {len(work)} results"

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(drain)
    simulator.add_process(count)
    simulator.run()
    return results, accepted, taken


def law(work):
    return [tuple(int(part) for part in sad(torch.tensor(token), torch.tensor(candidates), threshold))
            for token, candidates, threshold in work]


def unit(lanes, dimension_max=40, candidates_max=16):
    return SadUnit(load_config("tiny").replace(sad_lanes=lanes), dimension_max=dimension_max,
                   candidates_max=candidates_max)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("pause_in, pause_out", [(0.0, 0.0), (0.4, 0.0), (0.0, 0.9), (0.3, 0.6)])
def test_random_tokens_under_random_stalls(lanes, pause_in, pause_out):
    rng = random.Random(f"{lanes}/{pause_in}/{pause_out}")
    work = [make_token(rng, rng.randint(1, 40), rng.randint(1, 16), rng.randrange(2000)) for _ in range(25)]
    results, _, _ = run(unit(lanes), lanes, work, pause_in, pause_out)
    assert results == law(work)


def test_corners_of_value_dimension_threshold_and_index():
    far = ([-128] * 40, [[127] * 40] * 16, 255 * 40)                     # largest sum, all tie, threshold met
    work = [far, (far[0], far[1], 255 * 40 + 1),                         # a threshold that nothing reaches
            ([-128], [[127]], 255), ([127], [[-128]], 256), ([0], [[0]], 0), ([0], [[0]], 1),
            ([3] * 7, [[4] * 7, [3] * 6 + [5], [3] * 7, [3] * 7], 1),    # the best twice, not first
            ([3] * 9, [[4] * 9, [2] * 9, [5] * 9], 9), ([3] * 9, [[5] * 9, [4] * 9], 10)]
    results, _, _ = run(unit(8), 8, work)
    assert results == law(work)
    assert results[0] == (255 * 40, 0, 1) and results[1][2] == 0
    assert results[6] == (0, 2, 0) and results[7] == (9, 0, 1) and results[8] == (9, 1, 0)
    last = [([0] * 8, [[9] * 8] * 15 + [[1] * 8], 20)]
    assert run(unit(8), 8, last)[0] == [(8, 15, 0)]


@pytest.mark.parametrize("lanes", [4, 16, 64])
def test_stated_latency_and_a_beat_a_cycle(lanes):
    rng = random.Random(lanes)
    work = [make_token(rng, 40, rng.randint(1, 3), 100) for _ in range(12)]
    dut = unit(lanes)
    results, accepted, taken = run(dut, lanes, work)
    assert results == law(work)
    passes = -(-40 // lanes)
    assert [b - a for a, b in zip(accepted, accepted[1:], strict=False)] == [1] * (len(accepted) - 1)
    ends, at = [], -1
    for _, candidates, _ in work:
        at += passes * len(candidates)
        ends.append(accepted[at])
    assert [b - a for a, b in zip(ends, taken, strict=True)] == [dut.latency] * len(work)


@pytest.mark.parametrize("keywords, message", [
    ({"dimension_max": 0}, "dimension_max is 0, must be at least 1"),
    ({"candidates_max": 1}, "candidates_max is 1, must be at least 2")])
def test_refuses_sizes_without_meaning(keywords, message):
    never_built = SadUnit.__new__(SadUnit)
    never_built._MustUse__silence = True     # Amaranth would warn that it was never elaborated
    with pytest.raises(ValueError, match=message):
        never_built.__init__(load_config("tiny"), **keywords)
