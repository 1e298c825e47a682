# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from pydantic import ValidationError

from hw.errors import VidaError
from model.approximate.build import build, dito_steps, match_history
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    EXIONConfig,
    FFNReuseConfig,
    Guide,
    ORBISConfig,
    ToMeConfig,
)
from model.exact.match.dito import Ratio
from model.exact.sparsity.eager import Dominance
from model.methods import method
from model.sample import sample_integer

FFN = EXIONConfig(eager=None)
NOTHING = [
    [],
    [DittoConfig()],
    [DittoConfig(), CMCConfig(threshold=0)],
    [CMCConfig(threshold=0)],
    [EXIONConfig(ffn=FFNReuseConfig(sparse_steps=0), eager=None)],
    [EXIONConfig(ffn=None, eager=EagerConfig(permille=1000, dominance=Dominance.NEVER))],
    [ORBISConfig(q_ratio=0)],
    [ORBISConfig(q_ratio=0, guide=Guide.INPUT)],
    [DiToConfig(q_ratio=0, interval=3, weight=7)],
    [AsymRnRConfig(q_ratio=0, kv_ratio=0)],
    [ToMeConfig(ratio=0)],
]


def sample(network, operators, steps=8):
    return sample_integer(network, network.noise[1], 1, operators, steps)


@pytest.mark.parametrize("configs", NOTHING, ids=str)
def test_settings_that_leave_nothing_out_equal_dense_bit_for_bit(network, configs):
    operators = build(configs, network, 8)
    assert torch.equal(sample(network, operators), sample(network, method("dense")))
    assert operators.work.left == 1


@pytest.mark.parametrize(
    "config",
    [
        CMCConfig(segment=4),
        CMCConfig(threshold=0, query_threshold=12),
        FFN,
        EXIONConfig(ffn=None),
        ORBISConfig(kv_ratio=0.25, blocks=("spatial", "temporal")),
        DiToConfig(interval=4, weight=100),
        AsymRnRConfig(),
        ToMeConfig(),
    ],
    ids=str,
)
def test_every_method_leaves_work_out_and_is_repeatable(network, config):
    runs = [build([config], network, 8) for _ in range(2)]
    videos = [sample(network, run) for run in runs]
    assert torch.equal(*videos) and runs[0].work == runs[1].work
    assert 0.3 < runs[0].work.left < 1
    assert not torch.equal(videos[0], sample(network, method("dense")))
    assert runs[0].work.total.total() == runs[1].work.total.total()


def test_reuse_goes_with_every_other_method(network):
    alone = {}
    for config in (FFN, CMCConfig(segment=4), ORBISConfig(), ToMeConfig()):
        operators = build([config], network, 8)
        sample(network, operators)
        alone[type(config)] = operators.work.left
        if config is not FFN:
            both = build([FFN, config], network, 8)
            sample(network, both)
            assert both.work.left < min(alone[type(config)], alone[EXIONConfig])


def test_differences_serve_what_cmc_rewrites(network):
    config = CMCConfig(segment=4, threshold=6, query_threshold=10)
    runs = {ditto: build([config, *[DittoConfig()] * ditto], network, 8) for ditto in (0, 1)}
    videos = [sample(network, run) for run in runs.values()]
    assert torch.equal(*videos) and runs[0].work.done == runs[1].work.done
    assert not torch.equal(videos[0], sample(network, method("dense")))
    linear = {ditto: sum(run.work.digits[kind] for kind in ("qkv", "fc1", "fc2")) for ditto, run in runs.items()}
    assert linear[1] < linear[0]
    alone = build([DittoConfig()], network, 8)
    sample(network, alone)
    assert runs[1].work.digits_left < alone.work.digits_left


def test_digits_by_definition(network, jobs):
    def count(difference):
        low = (difference + 8) % 16 - 8
        return (low != 0) + (difference != low)                    # no difference here needs nine bits

    operators = build([DittoConfig(), CMCConfig(segment=4, threshold=9.5)], network)
    before, rows = torch.zeros_like(jobs["qkv", 0, 5].current), 0
    for step in (5, 6):
        job, expected = jobs["qkv", 0, step], 0
        earlier = operators.work.digits["qkv"]
        operators.begin(step)
        operators.linear(job.site, job.current, job.right, job.init[0, 0])
        rewritten = job.current.clone()
        for f in (0, 2, 3):
            for t in range(16):
                sums = (job.current[f, t] - job.current[1]).abs().sum(-1)
                if int(sums.min()) < 304:
                    rewritten[f, t] = job.current[1, int((sums == sums.min()).nonzero()[0])]
                    rows += 1
                    continue
                expected += sum(count(x) for x in (job.current[f, t] - before[f, t]).tolist())
        for t in range(16):
            expected += sum(count(x) for x in (job.current[1, t] - before[1, t]).tolist())
        assert operators.work.digits["qkv"] - earlier == expected * 96
        before = rewritten
    assert rows


def test_digits_of_both_products_of_attention(network, jobs):
    operators = build([DittoConfig()], network)
    for step in (5, 6):
        operators.begin(step)
        job = jobs["scores", 0, step]
        before = operators.work.digits["scores"]
        operators.attention(job.site, job.current, job.right)
    first, second = jobs["scores", 0, 5], jobs["scores", 0, 6]
    expected = 0
    for a, b in ((second.current, first.current), (second.right, first.right)):
        for x in (a - b).flatten().tolist():
            low = (x + 8) % 16 - 8
            expected += 16 * ((low != 0) + (x != low))
    assert operators.work.digits["scores"] - before == expected


@pytest.mark.parametrize(
    ("configs", "reason"),
    [
        ([ORBISConfig(), DiToConfig(interval=2)], "both own the tables"),
        ([CMCConfig(), ORBISConfig()], "a row that one copies from may be one that the other drops"),
        ([CMCConfig(), EXIONConfig()], "which the prediction may have skipped"),
        ([EXIONConfig(), ToMeConfig()], "may keep a key that matching dropped"),
        ([CMCConfig(), CMCConfig()], "CMCConfig is given twice"),
        ([DittoConfig(), FFN], "DittoConfig and EXIONConfig: outputs that are left out have no sums"),
        ([ORBISConfig(), DittoConfig()], "DittoConfig and ORBISConfig"),
    ],
)
def test_methods_that_exclude_each_other_are_refused_with_the_reason(network, configs, reason):
    with pytest.raises(VidaError, match=reason):
        build(configs, network)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(CMCConfig, {"segment": 0}), (CMCConfig, {"thresh": 1}), (ORBISConfig, {"bits": 6}), (ToMeConfig, {"ratio": 1})],
)
def test_wrong_parameters_are_refused(kind, fields):
    with pytest.raises(ValidationError):
        kind(**fields)


def test_configurations_are_frozen():
    with pytest.raises(ValidationError):
        CMCConfig().segment = 3


@pytest.mark.parametrize("ratio", list(Ratio))
def test_interval_of_a_calibration_video(network, ratio):
    config = DiToConfig(match_ratio=400, ratio=ratio)
    history = match_history(network, config, 8)
    assert [len(tables) for tables in history] == [4] * 8             # one spatial layer, 4 frames
    steps = sorted(dito_steps(network, config, 8))
    assert steps[0] == 0 and len({b - a for a, b in zip(steps, steps[1:])}) <= 1
    always = dito_steps(network, config.model_copy(update={"match_ratio": 1000, "adaptive": True}), 8)
    assert always == frozenset(range(8))
    assert dito_steps(network, DiToConfig(interval=3), 8) == {0, 3, 6}
    assert dito_steps(network, config.model_copy(update={"match_ratio": 0}), 8) == {0}
