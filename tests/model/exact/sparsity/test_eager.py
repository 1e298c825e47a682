# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.sparsity.eager import (
    LEAST,
    Dominance,
    check_scale,
    dominated_rows,
    masked_scores,
    predict_projection,
    predict_scores,
    select,
    top_k,
)
from model.exact.sparsity.leading_one import Detection
from model.exact.vector.scaling import Scale
from model.exact.vector.softmax import softmax
from model.quantise import load_quantised


@pytest.fixture(scope="module")
def network():
    return load_quantised("tiny")[0]


def ranked(row):
    return sorted(range(len(row)), key=lambda i: (-row[i], i))


def shortened(x):
    text = bin(abs(x))[2:]
    ones = [len(text) - 1 - i for i, bit in enumerate(text) if bit == "1"][:2]
    return (-1 if x < 0 else 1) * sum(1 << p for p in ones)


def test_predicted_scores_of_a_captured_block_by_definition(captured, network):
    h, block = captured("qkv")[0].current[0], network.blocks[0].attentions[0]
    qkv = predict_projection(h, block.qkv.right, block.qkv.bias, block.qkv_scale, Detection.TWO)
    query, key = qkv[:3, :16], qkv[:5, 32:48]                  # first head of two, d = 16
    scale = block.qkv_scale
    for place, row in enumerate(h[:3].tolist()):
        for column in range(16):
            total = int(block.qkv.bias[column])
            for x, w in zip(row, block.qkv.right[:, column].tolist(), strict=True):
                total += shortened(x) * shortened(w)
            value = (total * scale.multipliers[column] + (1 << (scale.shift - 1))) >> scale.shift
            assert int(query[place, column]) == max(-128, min(127, value))
    expected = [
        [sum(shortened(a) * shortened(b) for a, b in zip(q, k, strict=True)) for k in key.tolist()]
        for q in query.tolist()
    ]
    assert predict_scores(query, key, Detection.TWO).tolist() == expected


@pytest.mark.parametrize("k", [1, 3, 16, 40])
def test_selection_on_captured_scores_by_definition(captured, k):
    scores = captured("scores")[0].result                     # (4, 2, 16, 16)
    dominated = torch.zeros(scores.shape[:-1], dtype=torch.bool)
    dominated[0, 0, 3] = dominated[2, 1] = True
    got = select(scores, k, dominated)
    for f in range(4):
        for head in range(2):
            keys, values = set(), set()
            for m, row in enumerate(scores[f, head].tolist()):
                order, skipped = ranked(row), bool(dominated[f, head, m])
                kept = set() if skipped else set(order[:k])
                keys |= kept
                values |= {order[0]} if skipped else kept
                assert set(torch.nonzero(got.keep[f, head, m])[:, 0].tolist()) == kept
                assert int(got.best[f, head, m]) == order[0] and bool(got.queries[f, head, m]) != skipped
            assert set(torch.nonzero(got.keys[f, head])[:, 0].tolist()) == keys
            assert set(torch.nonzero(got.values[f, head])[:, 0].tolist()) == values


def test_masked_scores_reach_softmax_as_zero(captured, network):
    scores, block = captured("scores")[0].result, network.blocks[0].attentions[0]
    dominated = torch.zeros(scores.shape[:-1], dtype=torch.bool)
    dominated[1, 0, 2] = True
    selection = select(scores, 4, dominated)
    masked = masked_scores(scores, selection)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in scores.shape)).tolist():
        at = tuple(place)
        if dominated[at[:3]]:
            expected = 0 if at[3] == int(selection.best[at[:3]]) else LEAST
        else:
            expected = int(scores[at]) if selection.keep[at] else LEAST
        assert int(masked[at]) == expected
    check_scale(block.softmax)
    p, row_sum = softmax(masked, block.softmax, network.tables.exp2)
    assert not p[masked == LEAST].any()
    assert int(row_sum[1, 0, 2]) == 127


@pytest.mark.parametrize("threshold", [0, 500, 3000, 65536])
def test_margin_by_definition(captured, network, threshold):
    scores, block = captured("scores")[0].result, network.blocks[0].attentions[0]
    got = dominated_rows(scores, Dominance.MARGIN, threshold, block.softmax, network.tables.exp2)
    multiplier, shift = block.softmax.multipliers[0], block.softmax.shift
    for f in range(4):
        for head in range(2):
            for m, row in enumerate(scores[f, head].tolist()):
                z = sorted(max(-32768, min(32767, (s * multiplier + (1 << (shift - 1))) >> shift)) for s in row)
                assert bool(got[f, head, m]) == (z[-1] - z[-2] >= threshold)


def test_share_of_the_best(network):
    scale, exp2 = Scale.from_real(1.0), network.tables.exp2
    rows = torch.tensor([[0, -1024, -40000, -40000], [0, 0, 0, 0], [5, -30000, -30000, -30000]])
    shares = [127 / (127 + 64), 127 / 508, 127 / 127]
    for threshold in (0, 250, 251, 664, 665, 1000, 1001):
        got = dominated_rows(rows, Dominance.SHARE, threshold, scale, exp2)
        assert got.tolist() == [1000 * share >= threshold for share in shares]


def test_ties_one_key_and_never(network):
    equal = torch.zeros(2, 5, dtype=torch.int64)
    assert top_k(equal, 2).int().tolist() == [[1, 1, 0, 0, 0]] * 2
    assert select(equal, 2, torch.tensor([True, True])).values.int().tolist() == [1, 0, 0, 0, 0]
    assert not select(equal, 2, torch.tensor([True, True])).keys.any()
    arguments = Scale.from_real(1.0), network.tables.exp2
    assert dominated_rows(equal[:, :1], Dominance.MARGIN, 10, *arguments).all()
    assert not dominated_rows(equal, Dominance.NEVER, 0, *arguments).any()
    assert dominated_rows(equal, Dominance.MARGIN, 0, *arguments).all()


def test_mistakes_are_refused():
    with pytest.raises(VidaError, match="top k = 0"):
        top_k(torch.zeros(1, 2), 0)
    with pytest.raises(VidaError, match="too small to mask"):
        check_scale(Scale((1,), 30))
