# SPDX-License-Identifier: Apache-2.0
import math
from fractions import Fraction

import pytest
import torch

from model.approximate.build import build
from model.approximate.config import AsymRnRConfig, DiToConfig, Guide, KeyGuide, KeyWeight, ORBISConfig, ToMeConfig
from model.approximate.guided import narrow_sums
from model.exact.match.datm import Rule, match
from model.exact.match.dito import Counted, Penalty
from model.exact.match.random_destinations import match_random, xorshift32
from model.exact.match.similarity import Measure, losses, narrow
from model.exact.sparsity.eager import LEAST
from model.exact.step import denoise
from model.quantise import load_quantised


def run_attention(operators, jobs, layer, step):
    """QKV, scores, values and output projection of a layer on captured operands."""
    operators.begin(step)
    found = []
    for kind in ("qkv", "scores", "values", "out"):
        job = jobs[kind, layer, step]
        if job.right.dim() == 2:
            found.append(operators.linear(job.site, job.current, job.right, job.init[0, 0]))
        else:
            found.append(operators.attention(job.site, job.current, job.right))
    return found


def check(found, jobs, layer, step, queries, keys, heads=None):
    """Against condensed attention, row by row: `queries`, `keys` are {(matrix, token): stands for it}."""
    qkv, scores, values, out = (jobs[kind, layer, step].result for kind in ("qkv", "scores", "values", "out"))
    temporal = layer == 1
    for a in range(scores.shape[0]):
        for m in range(scores.shape[2]):
            place = (m, a) if temporal else (a, m)
            source = queries.get((a, m), m)
            from_ = (source, a) if temporal else (a, source)
            assert torch.equal(found[3][place], out[from_])
            rows = [0 if (a, m) in queries else 1, *[0 if (a, m) in keys else 1] * 2]
            for part, kept in enumerate(rows):
                assert torch.equal(found[0][place][part * 32 : part * 32 + 32],
                                   qkv[place][part * 32 : part * 32 + 32] * kept)
            for h in range(2):
                expected = [LEAST if (a, n) in keys else int(scores[a, h, source, n]) for n in range(scores.shape[3])]
                assert found[1][a, h, m].tolist() == expected
                assert torch.equal(found[2][a, h, m], values[a, h, source])


def stand_ins(tables):
    return {(a, i): j for a, table in enumerate(tables) for i, j in table.copied.tolist()}


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("after_projection", [False, True])
def test_orbis_by_definition(network, jobs, layer, after_projection):
    config = ORBISConfig(q_ratio=0.5, kv_ratio=0.25, bits=4, measure=Measure.SAD, rule=Rule.PAIRS, refresh=3,
                         after_projection=after_projection, blocks=("spatial", "temporal"))
    operators = build([config], network)
    check(run_attention(operators, jobs, layer, 6), jobs, layer, 6, {}, {})          # unreduced, matched
    job = jobs["out", layer, 6]
    features = narrow_sums(job.result) if after_projection else job.current
    features = narrow(features.transpose(0, 1) if layer == 1 else features, 4)
    tokens = features.shape[1]
    loss = [losses(x, x, Measure.SAD) for x in features]
    queries = stand_ins(match(one, tokens // 2, Rule.PAIRS) for one in loss)
    keys = stand_ins(match(one, tokens // 4, Rule.PAIRS) for one in loss)
    for step in (7, 8):
        before = operators.work.done.copy()
        check(run_attention(operators, jobs, layer, step), jobs, layer, step, queries, keys)
        count = 64                                                                   # all tokens of the video
        kept, kept_keys = count - len(queries), count - len(keys)
        assert operators.work.done["out"] - before["out"] == kept * 32 * 32
        assert operators.work.done["qkv"] - before["qkv"] == (kept + 2 * kept_keys) * 32 * 32
        by_matrix = [
            (sum(k[0] == a for k in queries), sum(k[0] == a for k in keys)) for a in range(count // tokens)
        ]
        pairs = sum((tokens - q) * (tokens - k) for q, k in by_matrix) * 32
        assert operators.work.done["scores"] - before["scores"] == pairs
        assert operators.work.done["values"] - before["values"] == pairs
    check(run_attention(operators, jobs, layer, 9), jobs, layer, 9, {}, {})


def test_fewer_destinations_than_kept_tokens(network, jobs):
    operators = build([ORBISConfig(rule=Rule.DENSITY, destinations=0.2, radius=100)], network)
    run_attention(operators, jobs, 0, 4)
    tables = [match(losses(x, x, Measure.SQUARED), 8, Rule.DENSITY, 3, 100) for x in jobs["out", 0, 4].current]
    assert all(len(set(table.copied[:, 1].tolist())) <= 3 for table in tables)
    check(run_attention(operators, jobs, 0, 5), jobs, 0, 5, stand_ins(tables), {})


def test_orbis_guided_by_the_input_matches_as_it_goes(network, jobs):
    operators = build([ORBISConfig(rule=Rule.COVER, guide=Guide.INPUT, refresh=4)], network)
    check(run_attention(operators, jobs, 0, 4), jobs, 0, 4, {}, {})
    tables = [match(losses(x, x, Measure.SQUARED), 8, Rule.COVER) for x in jobs["qkv", 0, 5].current]
    check(run_attention(operators, jobs, 0, 5), jobs, 0, 5, stand_ins(tables), {})


def test_keys_guided_by_values(network, jobs):
    operators = build([ORBISConfig(rule=Rule.COVER, q_ratio=0, kv_ratio=0.5, kv_guide=KeyGuide.VALUE)], network)
    run_attention(operators, jobs, 0, 4)
    v = jobs["values", 0, 4].right
    joined = [torch.cat([v[f, h] for h in range(2)], -1) for f in range(4)]
    keys = stand_ins(match(losses(x, x, Measure.SQUARED), 8, Rule.COVER) for x in joined)
    check(run_attention(operators, jobs, 0, 5), jobs, 0, 5, {}, keys)


@pytest.mark.parametrize("layer", [0, 1])
def test_kept_keys_count_for_those_that_were_dropped(network, jobs, layer):
    config = ORBISConfig(q_ratio=0, kv_ratio=0.5, key_weight=KeyWeight.PROPORTIONAL, blocks=("spatial", "temporal"))
    operators = build([config], network)
    run_attention(operators, jobs, layer, 4)
    outputs = jobs["out", layer, 4].current
    outputs = outputs.transpose(0, 1) if layer == 1 else outputs
    _, scores, _, _ = run_attention(operators, jobs, layer, 5)
    exact = jobs["scores", layer, 5].result
    scale = network.blocks[layer].attentions[0].softmax
    for a, x in enumerate(outputs):
        stands = dict(match(losses(x, x, Measure.SQUARED), len(x) // 2, Rule.PAIRS).copied.tolist())
        for n in range(len(x)):
            group = 1 + list(stands.values()).count(n)
            places = math.floor(1024 * math.log2(group) + 0.5)
            offset = math.floor(Fraction(places << scale.shift, scale.multipliers[0]) + Fraction(1, 2))
            for h in range(2):
                expected = torch.full_like(exact[a, h, :, n], LEAST) if n in stands else exact[a, h, :, n] + offset
                assert torch.equal(scores[a, h, :, n], expected)


def test_rematching_sees_the_copies(network, jobs):
    operators = build([ORBISConfig(rule=Rule.COVER, refresh=4, rematch=True)], network)
    run_attention(operators, jobs, 0, 4)
    run_attention(operators, jobs, 0, 5)
    tables = [match(losses(x, x, Measure.SQUARED), 8, Rule.COVER) for x in jobs["out", 0, 5].current]
    check(run_attention(operators, jobs, 0, 6), jobs, 0, 6, stand_ins(tables), {})


@pytest.mark.parametrize("counted", list(Counted))
def test_dito_penalises_what_it_chose_before(network, jobs, counted):
    config = DiToConfig(rule=Rule.COVER, interval=3, weight=5000, counted=counted, penalty=Penalty.ADD)
    operators = build([config], network)
    counts = torch.zeros(4, 16, dtype=torch.int64)
    for start in (3, 6, 9):
        check(run_attention(operators, jobs, 0, start), jobs, 0, start, {}, {})
        tables = []
        for f, x in enumerate(jobs["out", 0, start].current):
            count = counts[f][:, None] if counted is Counted.SOURCE else counts[f]
            loss = losses(x, x, Measure.SQUARED) + 5000 * count
            loss[range(16), range(16)] = 0
            tables.append(match(loss, 8, Rule.COVER))
            chosen = set(tables[-1].copied[:, 0 if counted is Counted.SOURCE else 1].tolist())
            counts[f] += torch.tensor([i in chosen for i in range(16)])
        for step in (start + 1, start + 2):
            check(run_attention(operators, jobs, 0, step), jobs, 0, step, stand_ins(tables), {})


def test_asymrnr_by_definition(network, jobs):
    operators = build([AsymRnRConfig(q_ratio=0.5, kv_ratio=0.4, interval=2, seed=9)], network)
    found = run_attention(operators, jobs, 0, 4)
    scores, values, numbers = jobs["scores", 0, 4], jobs["values", 0, 4], xorshift32(9)
    # V is matched first, when it is projected; 16 - int(16 * 0.6) tokens are dropped.
    tables = {}
    for name, features, drop in (("k", values.right, 7), ("q", scores.current, 8)):
        for f in range(4):
            for h in range(2):
                x = features[f, h]
                tables[name, f, h] = match_random(losses(x, x, Measure.SQUARED), (4, 4), (2, 2), drop, numbers)
    for step in (4, 5):
        found = found if step == 4 else run_attention(operators, jobs, 0, 5)
        exact = jobs["scores", 0, step].result
        for f in range(4):
            for h in range(2):
                stands = dict(tables["q", f, h].copied.tolist())
                lost = set(tables["k", f, h].copied[:, 0].tolist())
                for m in range(16):
                    row = exact[f, h, stands.get(m, m)].tolist()
                    assert found[1][f, h, m].tolist() == [LEAST if n in lost else row[n] for n in range(16)]
        assert torch.equal(found[0], jobs["qkv", 0, step].result)        # projected before it is matched


def test_tome_by_definition(network, jobs):
    operators = build([ToMeConfig(ratio=0.5, seed=3)], network)
    operators.begin(4)
    job, numbers = jobs["qkv", 0, 4], xorshift32(3)
    got = operators.linear(job.site, job.current, job.right, job.init[0, 0])
    for f in range(4):
        x = job.current[f]
        table = match_random(losses(x, x, Measure.COSINE), (4, 4), (2, 2), 8, numbers)
        stands = dict(table.copied.tolist())
        for token in range(16):
            group = [token, *(i for i, j in stands.items() if j == token)]
            mean = (2 * x[group].sum(0) + len(group)).div(2 * len(group), rounding_mode="floor")
            expected = job.init[0, 0] + mean @ job.right
            assert torch.equal(got[f, token], torch.zeros_like(expected) if token in stands else expected)
    assert operators.work.done["qkv"] == 32 * 32 * 96                    # half of 64 tokens


def test_sums_as_features():
    assert narrow_sums(torch.tensor([0, 127, -127])).tolist() == [0, 127, -127]
    assert narrow_sums(torch.tensor([128, -130, 1])).tolist() == [64, -65, 1]
    assert narrow_sums(torch.tensor([255, -256])).tolist() == [64, -64]
    assert narrow_sums(torch.zeros(3, dtype=torch.int64)).tolist() == [0, 0, 0]


def test_random_destinations_among_the_tokens_of_a_video():
    """Full attention: cells of 2 x 2 x 2 tokens, one matrix a head (AsymRnR) or one for all (ToMe)."""
    network = load_quantised("full")[0]
    for config, expected in ((AsymRnRConfig(kv_ratio=0), {"scores": 0.5, "qkv": 1, "out": 1}),
                             (AsymRnRConfig(q_ratio=0.8, kv_ratio=0.5), {"scores": 0.1, "qkv": 1, "out": 1}),
                             (ToMeConfig(), {"scores": 0.25, "qkv": 0.5, "out": 0.5})):
        operators = build([config], network, 8)
        denoise(network, network.noise[0], 0, 0, 8, operators)
        for kind, share in expected.items():
            assert operators.work.left_of(kind) == pytest.approx(share, abs=0.01)
