# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model.approximate.build import build
from model.approximate.config import CMCConfig, EagerConfig, EXIONConfig, FFNReuseConfig
from model.exact.sparsity.conmerge import Packing
from model.exact.sparsity.eager import LEAST, Dominance
from model.exact.sparsity.ffn_reuse import SecondLayer
from model.exact.vector.gelu import gelu


def run_ffn(operators, network, jobs, step):
    """FC1, GELU and FC2 of layer 0 at a step, through `operators`; sums of FC1, hidden, sums of FC2."""
    operators.begin(step)
    block = network.blocks[0]
    first, second = jobs["fc1", 0, step], jobs["fc2", 0, step]
    sums = operators.linear(first.site, first.current, block.fc1.right, block.fc1.bias)
    hidden = gelu(sums, block.gelu, network.tables.gelu)
    return sums, hidden, operators.linear(second.site, hidden, block.fc2.right, block.fc2.bias)


@pytest.mark.parametrize("second", list(SecondLayer))
@pytest.mark.parametrize("threshold", [None, 12])
def test_reuse_over_iterations_by_definition(network, jobs, second, threshold):
    config = FFNReuseConfig(sparse_steps=2, threshold=threshold, second_layer=second)
    operators = build([EXIONConfig(ffn=config, eager=None)], network)
    block, kept = network.blocks[0], None
    for step in range(3, 9):
        before, digits = operators.work.done.copy(), operators.work.digits["fc2"]
        sums, hidden, after = run_ffn(operators, network, jobs, step)
        exact = gelu(jobs["fc1", 0, step].result, block.gelu, network.tables.gelu)
        if step in (3, 6):
            kept = exact
            limit = threshold
            if threshold is None:
                limit = next(t for t in range(129) if int((kept.abs() > t).sum()) <= kept.numel() // 10)
            expected = exact
        else:
            expected = kept.clone()
            for at in torch.argwhere(kept.abs() > limit).tolist():
                expected[tuple(at)] = exact[tuple(at)]
        assert torch.equal(hidden, expected)
        assert torch.equal(after, block.fc2.bias + hidden @ block.fc2.right)
        masked = kept.numel() if step in (3, 6) else int((kept.abs() > limit).sum())
        assert operators.work.done["fc1"] - before["fc1"] == masked * 32
        if step in (3, 6) or second is SecondLayer.DELTA:
            assert operators.work.done["fc2"] - before["fc2"] == masked * 32
        else:
            assert operators.work.done["fc2"] - before["fc2"] == kept.numel() * 32
        whole = step in (3, 6) or second is SecondLayer.WHOLE
        difference = hidden if whole else hidden - kept
        low = (difference + 8) % 16 - 8
        count = int((low != 0).sum() + (difference != low).sum())      # none here needs nine bits
        assert operators.work.digits["fc2"] - digits == 32 * count
    assert operators.work.extra["exion.mask_elements"] == 2 * kept.numel()


def test_merged_passes_are_counted(network, jobs):
    operators = build([EXIONConfig(ffn=FFNReuseConfig(packing=Packing()), eager=None)], network)
    run_ffn(operators, network, jobs, 3)
    extra = operators.work.extra
    assert extra["exion.dense_passes"] == 4 * 8                      # 64 rows, 128 columns
    assert extra["exion.passes"] < extra["exion.condensed_passes"] <= extra["exion.dense_passes"]


def test_a_copied_token_keeps_its_copy(network, jobs):
    """A row that CMC copies at the dense iteration keeps the copied sums where its mask reuses."""
    configs = [CMCConfig(segment=4, threshold=255, operators=("fc1",)), EXIONConfig(eager=None)]
    operators = build(configs, network)
    dense, _, _ = run_ffn(operators, network, jobs, 3)
    mask = operators.features[1].masks[0]
    sparse, _, _ = run_ffn(operators, network, jobs, 4)
    own = jobs["fc1", 0, 4]
    for token in range(16):
        assert torch.equal(sparse[1, token], torch.where(mask[1, token], own.result[1, token], dense[1, token]))
        matches = (sparse[0, token] == sparse[1]).all(-1)
        assert matches.any()                                         # every other frame copies frame 1


def captured_attention(operators, jobs, step=6):
    operators.begin(step)
    qkv, scores, values = (jobs[kind, 0, step] for kind in ("qkv", "scores", "values"))
    projected = operators.linear(qkv.site, qkv.current, qkv.right, qkv.init[0, 0])
    return projected, operators.attention(scores.site, scores.current, scores.right), values


@pytest.mark.parametrize("dominance", [Dominance.NEVER, Dominance.MARGIN])
def test_prediction_decides_what_is_computed(network, jobs, dominance):
    config = EagerConfig(permille=250, dominance=dominance, dominance_threshold=700)
    operators = build([EXIONConfig(ffn=None, eager=config)], network)
    projected, masked, values = captured_attention(operators, jobs)
    chosen = operators.features[0].selections[0]
    exact_projection, exact = jobs["qkv", 0, 6].result, jobs["scores", 0, 6].result
    skipped = 0
    for f in range(4):
        for h in range(2):
            columns = slice(16 * h, 16 * h + 16)
            kept = chosen.keep[f, h]
            for m in range(16):
                best = int(chosen.best[f, h, m])
                if chosen.dominated[f, h, m]:
                    skipped += 1
                    assert masked[f, h, m].tolist() == [0 if n == best else LEAST for n in range(16)]
                else:
                    assert int(kept[m].sum()) == 4
                    expected = [int(exact[f, h, m, n]) if kept[m, n] else LEAST for n in range(16)]
                    assert masked[f, h, m].tolist() == expected
                key = any(bool(kept[row, m]) for row in range(16))
                one_hot = any(chosen.dominated[f, h, row] and chosen.best[f, h, row] == m for row in range(16))
                for part, needed in enumerate((not chosen.dominated[f, h, m], key, key or one_hot)):
                    got = projected[f, m, part * 32 : part * 32 + 32][columns]
                    whole = exact_projection[f, m, part * 32 : part * 32 + 32][columns]
                    assert torch.equal(got, whole if needed else torch.zeros_like(whole))
    assert bool(skipped) == (dominance is Dominance.MARGIN)
    scores_kept = int(chosen.keep.sum())
    assert operators.work.done["scores"] == scores_kept * 16
    operators.attention(values.site, values.current, values.right)
    assert operators.work.done["values"] == scores_kept * 16
    assert operators.work.extra["exion.rows_dominated"] == skipped


def test_rows_that_are_not_generated_are_not_read(network, jobs):
    """A whole block gives the same with those rows replaced by anything: softmax and PV do not see them."""
    config = EagerConfig(permille=250, dominance=Dominance.MARGIN, dominance_threshold=700)
    operators = build([EXIONConfig(ffn=None, eager=config)], network)
    _, masked, values = captured_attention(operators, jobs)
    chosen = operators.features[0].selections[0]
    p = torch.where(masked == LEAST, 0, values.current)
    spoilt = torch.where(chosen.values[..., None], values.right, 99)
    assert (~chosen.values).any()
    assert torch.equal(p @ values.right, p @ spoilt)


def test_temporal_blocks_are_predicted_too(network, jobs):
    operators = build([EXIONConfig(ffn=None, eager=EagerConfig(permille=500, blocks=("temporal",)))], network)
    qkv, scores = jobs["qkv", 1, 6], jobs["scores", 1, 6]
    operators.linear(qkv.site, qkv.current, qkv.right, qkv.init[0, 0])
    masked = operators.attention(scores.site, scores.current, scores.right)
    chosen = operators.features[0].selections[1]
    assert chosen.keep.shape == (16, 2, 4, 4) and ((masked == scores.result) == chosen.keep)[~chosen.dominated].all()
