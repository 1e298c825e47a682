# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.approximate.build import build
from model.approximate.config import CMCConfig, Matrices
from model.exact.operators import Site


def nearest(token, candidates):
    sums = [sum(abs(int(a) - int(b)) for a, b in zip(token, c, strict=True)) for c in candidates]
    return min(sums), sums.index(min(sums))


@pytest.mark.parametrize("matrices", list(Matrices))
@pytest.mark.parametrize("layer", [0, 1])
def test_linear_rows_by_definition(network, jobs, matrices, layer):
    job = jobs["qkv", layer, 6]
    operators = build([CMCConfig(segment=4, threshold=9.5, matrices=matrices)], network)
    got = operators.linear(job.site, job.current, job.right, job.init[0, 0])
    turned = matrices is Matrices.BLOCK and layer == 1                # (T, F): segments of 4 token places
    left, exact = (x.transpose(0, 1) if turned else x for x in (job.current, job.result))
    expected, copied = exact.clone(), 0
    for start in range(0, len(left), 4):
        for m in range(start, start + 4):
            for t in range(left.shape[1]):
                least, source = nearest(left[m, t], left[start + 1])
                if m != start + 1 and least < 304:                    # 9.5 * 32
                    expected[m, t] = exact[start + 1, source]
                    copied += 1
    assert torch.equal(got, expected.transpose(0, 1) if turned else expected)
    assert 0 < copied == operators.work.extra["cmc.rows_copied"] < left[..., 0].numel()
    rows = left[..., 0].numel()
    assert operators.work.done["qkv"] == (rows - copied) * 32 * 96
    assert operators.work.total["qkv"] == rows * 32 * 96


def test_one_search_serves_the_mlp(network, jobs):
    first, second = jobs["fc1", 0, 6], jobs["fc2", 0, 6]
    operators = build([CMCConfig(segment=4, threshold=9)], network)
    operators.linear(first.site, first.current, first.right, first.init[0, 0])
    copied = operators.work.extra["cmc.rows_copied"]
    operators.linear(second.site, second.current, second.right, second.init[0, 0])
    assert operators.work.extra["cmc.rows_copied"] == 2 * copied > 0
    assert operators.work.extra["cmc.differences"] == 3 * 16 * 16 * 32


def test_queries_by_definition(network, jobs):
    scores, values = jobs["scores", 0, 6], jobs["values", 0, 6]
    operators = build([CMCConfig(threshold=0, query_threshold=20, query_segment=4)], network)
    got = operators.attention(scores.site, scores.current, scores.right)
    stands = {}
    for f in range(4):
        for h in range(2):
            q = scores.current[f, h]
            for m in range(16):
                least, source = nearest(q[m], q[4:8])                 # 4 parts of 4, the second is I
                if not 4 <= m < 8 and least < 320:
                    stands[f, h, m] = 4 + source
                assert torch.equal(got[f, h, m], scores.result[f, h, stands.get((f, h, m), m)])
    assert stands and operators.work.done["scores"] == (128 - len(stands)) * 16 * 16
    after = operators.attention(values.site, values.current, values.right)
    for (f, h, m), source in stands.items():
        assert torch.equal(after[f, h, m], values.result[f, h, source])


@pytest.mark.parametrize("query_threshold", [None, 20.0])
def test_probabilities_by_definition(network, jobs, query_threshold):
    """PV's rows are copied by tables of P, whether or not the queries have tables."""
    scores, values = jobs["scores", 0, 6], jobs["values", 0, 6]
    config = CMCConfig(threshold=0, query_threshold=query_threshold, score_threshold=30.5, query_segment=4)
    operators = build([config], network)
    got = operators.attention(scores.site, scores.current, scores.right)
    assert torch.equal(got, scores.result) == (query_threshold is None)
    after = operators.attention(values.site, values.current, values.right)
    copied = 0
    for f in range(4):
        for h in range(2):
            p = values.current[f, h]
            for m in range(16):
                least, source = nearest(p[m], p[4:8])
                stands = 4 + source if not 4 <= m < 8 and least < 488 else m      # 30.5 * 16
                assert torch.equal(after[f, h, m], values.result[f, h, stands])
                copied += stands != m
    assert 0 < copied and operators.work.done["values"] == (128 - copied) * 16 * 16


def test_vectors_that_do_not_divide_are_refused(network):
    operators = build([CMCConfig(query_threshold=1, query_segment=3)], network)
    with pytest.raises(VidaError, match="16 vectors do not divide into parts of 5"):
        operators.attention(Site("scores", 0, "spatial"), torch.zeros(1, 1, 16, 2), torch.zeros(1, 1, 2, 16))
