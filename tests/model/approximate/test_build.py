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


@pytest.mark.parametrize(
    ("configs", "reason"),
    [
        ([ORBISConfig(), DiToConfig(interval=2)], "both own the tables"),
        ([CMCConfig(), ORBISConfig()], "a row that one copies from may be one that the other drops"),
        ([CMCConfig(), EXIONConfig()], "which the prediction may have skipped"),
        ([EXIONConfig(), ToMeConfig()], "may keep a key that matching dropped"),
        ([CMCConfig(), CMCConfig()], "CMCConfig is given twice"),
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
