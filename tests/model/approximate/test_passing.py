# SPDX-License-Identifier: Apache-2.0
"""Pass-through over whole sampling runs: against loops by definition, against dense, its bytes, Defo's closed links."""

import math
from fractions import Fraction

import pytest
import torch

from hw.errors import VidaError
from model.approximate.build import build
from model.approximate.config import CMCConfig, Defo, DittoConfig, PassThrough
from model.approximate.demand import Roofline, demand
from model.approximate.runs import linear_links
from model.exact.heads import join_heads
from model.exact.operators import Operators
from model.exact.step import denoise
from model.exact.traffic import Traffic
from model.networks import PRESETS, Family
from model.quantise import load_quantised, quantise
from model.sample import sample_integer

ROUNDING = [PassThrough.REQUANTISED, PassThrough.REMAINDER]


def run(network, steps=8, **fields):
    """The video and the jobs and work of a run of 8 steps."""
    jobs = []
    operators = build([DittoConfig(**fields)], network, 8, jobs.append)
    video = network.noise[0]
    for step in range(steps):
        video = denoise(network, video, 1, step, 8, operators)
    return video, jobs, operators


def of(jobs, kind, step, block=None, layer=0):
    return [job for job in jobs if (job.site.kind, job.site.layer, job.step) == (kind, layer, step)
            and job.site.block == (block or job.site.block)]


@pytest.mark.parametrize("preset", PRESETS)
def test_local_differences_give_the_bits_of_dense(preset):
    network = load_quantised(preset)[0]
    steps = 8 if preset in ("tiny", "stdit") else 3
    video, _, operators = run(network, steps, pass_through=PassThrough.LOCAL)
    plain, _, without = run(network, steps)
    dense = network.noise[0]
    for step in range(steps):
        dense = denoise(network, dense, 1, step, 8, Operators())
    assert torch.equal(video, plain) and torch.equal(video, dense)
    spared = operators.work.extra["ditto.bytes_spared"]
    assert spared == without.work.bytes.total() - operators.work.bytes.total() > 0
    assert operators.work.digits == without.work.digits


@pytest.mark.parametrize("reading", ROUNDING)
def test_refreshed_at_every_timestep_is_dense(network, reading):
    video, _, _ = run(network, pass_through=reading, pass_refresh=1)
    assert torch.equal(video, sample_integer(network, network.noise[0], 1, Operators(), 8))


def clamp(x):
    return max(-128, min(127, x))


def nearest(x):
    return math.floor(x + Fraction(1, 2))


def chain(rows, rights, scales, shift, bias, reading, refresh):
    """One element of an operand over all timesteps, by definition: from the inputs of its row and its weights."""
    found, fine = [], None
    for step, row in enumerate(rows):
        if step == 0 or (refresh and step % refresh == 0):
            value = Fraction((sum(x * w for x, w in zip(row, rights)) + bias) * scales, 1 << shift)
            operand = clamp(nearest(value))
            fine = clamp(nearest(256 * value) - 256 * operand)
        else:
            total = sum((x - y) * w for x, y, w in zip(row, rows[step - 1], rights))
            value = Fraction(total * scales, 1 << shift)
            if reading is PassThrough.REMAINDER:
                places = nearest(256 * value) + fine
                difference = clamp(nearest(Fraction(places, 256)))
                fine = clamp(places - 256 * difference)
            else:
                difference = clamp(nearest(value))
            operand = clamp(found[-1] + difference)
        found.append(operand)
    return found


@pytest.mark.parametrize("refresh", [None, 3])
@pytest.mark.parametrize("reading", ROUNDING)
def test_operands_by_definition_over_a_whole_run(network, reading, refresh):
    _, jobs, _ = run(network, pass_through=reading, pass_refresh=refresh)
    attention, frames = network.blocks[0].attentions[0], network.config.frames
    inputs = [of(jobs, "qkv", step)[0].current for step in range(8)]
    queries = [join_heads(of(jobs, "scores", step)[0].current, frames, "spatial") for step in range(8)]
    values = []
    for step in range(8):
        job = of(jobs, "values", step)[-1]
        values.append(join_heads(job.current.mT if job.product == "second" else job.right, frames, "spatial"))
    dim, scale = network.config.dim, attention.qkv_scale
    for place, column in [(0, 0), (5, 7), (17, 31), (63, 2)]:
        rows = [x.flatten(0, 1)[place].tolist() for x in inputs]
        for operand, at in ((queries, column), (values, 2 * dim + column)):
            expected = chain(rows, attention.qkv.right[:, at].tolist(),
                             scale.multipliers[at % len(scale.multipliers)], scale.shift,
                             int(attention.qkv.bias[at]), reading, refresh)
            assert [int(x.flatten(0, 1)[place, column]) for x in operand] == expected


@pytest.mark.parametrize("reading", ROUNDING)
def test_the_second_product_is_dense_on_the_operand_that_the_differences_lead_to(network, reading):
    _, jobs, _ = run(network, pass_through=reading)
    for step in (1, 7):
        first, second = of(jobs, "scores", step)
        assert torch.equal(second.result, (first.current @ second.current.mT).mT)
        project = of(jobs, "qkv", step)[0]
        assert torch.equal(project.reference, of(jobs, "qkv", step - 1)[0].current) and not project.init.any()


def test_a_remainder_keeps_what_rounding_loses(network):
    whole = sample_integer(network, network.noise[0], 1, Operators(), 8)
    lost = {reading: (run(network, pass_through=reading)[0] - whole).double().square().sum() for reading in ROUNDING}
    assert lost[PassThrough.REMAINDER] < lost[PassThrough.REQUANTISED]


def bytes_of(network, reading, kind, steps, **fields):
    return run(network, steps, pass_through=reading, **fields)[2].work.bytes[kind]


def test_bytes_of_a_projection_by_definition(network):
    config = network.config
    results = config.frames * config.tokens * 3 * config.dim * len(config.blocks)
    # sums out at the first timestep and in and out at the second; or the operand before; or remainders too
    off = bytes_of(network, PassThrough.OFF, "qkv", 2)
    assert off - bytes_of(network, PassThrough.REQUANTISED, "qkv", 2) == results * (4 + 8 - 1)
    assert off - bytes_of(network, PassThrough.REMAINDER, "qkv", 2) == results * (4 + 8 - 1 - 1 - 2)
    fresh = bytes_of(network, PassThrough.REQUANTISED, "qkv", 2, pass_refresh=1)
    operands = config.frames * config.tokens * config.dim * len(config.blocks)
    assert off - fresh == results * (4 + 8) + operands


def test_bytes_of_local_differences_by_definition(network):
    config = network.config
    elements = config.frames * config.tokens * config.dim * len(config.blocks)
    rows = config.frames * config.tokens * config.heads * len(config.blocks)
    found = {reading: {kind: bytes_of(network, reading, kind, 2) for kind in ("values", "out", "qkv", "scores")}
             for reading in (PassThrough.OFF, PassThrough.LOCAL)}
    spared = {kind: found[PassThrough.OFF][kind] - found[PassThrough.LOCAL][kind] for kind in found[PassThrough.OFF]}
    assert spared == {"values": -(elements // 8) - 8 * rows, "out": elements - elements // 8, "qkv": 0, "scores": 0}


@pytest.mark.parametrize("reading", ROUNDING)
def test_cross_attention_is_handed_differences_alone(random_network, reading):
    network = quantise(random_network(Family.STDIT))
    _, jobs, operators = run(network, 6, pass_through=reading, pass_refresh=4)
    for step in range(6):
        (job,) = of(jobs, "scores", step, "cross")
        assert job.product == "single" and bool(job.reference.any()) == (step % 4 != 0)
        assert torch.equal(job.result, job.current @ job.right)
        difference = job.current - job.reference
        assert step % 4 == 0 or (-128 <= difference.min() and difference.max() <= 127)
    assert operators.work.extra["ditto.bytes_spared"] > 0


@pytest.mark.parametrize("reading", [PassThrough.LOCAL, *ROUNDING])
def test_defo_closes_links(network, reading):
    """Where everything goes back to originals the rest of the run is dense on the operands of that timestep."""
    fields = {"pass_through": reading, "defo": Defo.DEFO, "cost": Roofline(512, 0.01)}
    video, jobs, operators = run(network, 2, **fields)
    dense = Operators()
    for step in range(2, 5):
        expected = denoise(network, video, 1, step, 8, dense)
        video = denoise(network, video, 1, step, 8, operators)
        assert torch.equal(video, expected)
    assert len(operators.exact.originals) == len({job.site for job in jobs}) and not operators.exact.links
    assert all(job.reference_kind == "none" for job in jobs if job.step > 1)


@pytest.mark.parametrize("reading", ROUNDING)
def test_an_end_in_originals_closes_a_link_and_sums_begin_again(random_network, reading):
    network = quantise(random_network(Family.STDIT))

    def cost(asked):
        return float(asked.digits)

    operators = build([DittoConfig(pass_through=reading, defo=Defo.DEFO, cost=cost)], network, 8)
    exact = operators.exact
    video = network.noise[0]
    for step in range(2):
        video = denoise(network, video, 1, step, 8, operators)
    scores = next(link.second for link in exact.links if not link.whole)
    exact.costs[scores, 1] = math.inf
    exact.costs |= {(link.first, 1): 0.0 for link in exact.links}
    jobs = []
    operators.record = jobs.append
    for step in (2, 3):
        video = denoise(network, video, 1, step, 8, operators)
    query, again = (next(job for job in of(jobs, "q", step) if job.site.layer == scores.layer) for step in (2, 3))
    assert scores in exact.originals and query.site not in exact.originals
    assert not query.reference.any() and torch.equal(again.reference, query.current)
    assert torch.equal(again.init, query.result)


def test_defo_weighs_a_links_own_traffic(network):
    asked = {}
    for reading in (PassThrough.OFF, PassThrough.REQUANTISED):
        costs = []
        operators = build([DittoConfig(pass_through=reading, defo=Defo.DEFO, cost=lambda one: float(one.bytes))],
                          network, 8)
        for step in range(2):
            denoise(network, network.noise[0], 1, step, 8, operators)
        costs = operators.exact.costs
        asked[reading] = {site: costs[site, 1] for site, step in costs if step}
    first = linear_links(network.config)[0].first
    results = network.config.frames * network.config.tokens * 3 * network.config.dim
    assert asked[PassThrough.OFF][first] - asked[PassThrough.REQUANTISED][first] == 7 * results


def test_traffic_of_a_demand():
    left, right = torch.ones(2, 3, 4).long(), torch.ones(4, 5).long()
    found = demand("single", left, left, right, Traffic(operand=9, reference=0, result=9, carried=16, row=64))
    assert found.bytes == math.ceil((24 * 9 + 20 * 8 + 30 * 25 + 6 * 64) / 8)


def test_copied_rows_are_refused_with_the_reason():
    configs = [CMCConfig(), DittoConfig(pass_through=PassThrough.REMAINDER)]
    with pytest.raises(VidaError, match="CMC copies whole results, and what passes is their difference"):
        build(configs, load_quantised("tiny")[0])
