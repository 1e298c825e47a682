# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.approximate import float_features as floats
from model.approximate import float_twin
from model.approximate.build import build
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    EXIONConfig,
    FFNReuseConfig,
    Guide,
    KeyGuide,
    ORBISConfig,
    Over,
    ToMeConfig,
    ViDAConfig,
)
from model.checkpoints import load_network
from model.exact.match.datm import Rule
from model.exact.match.dito import Penalty
from model.exact.match.similarity import Measure, losses
from model.exact.operators import Operators
from model.exact.recover.tables import RowTable
from model.exact.sparsity.eager import Dominance, dominated_rows
from model.exact.sparsity.ffn_reuse import quantile_threshold
from model.exact.sparsity.leading_one import Detection, log_matmul
from model.exact.step import denoise
from model.metrics import psnr
from model.quantise import PIXEL_FRACTION_BITS, calibrate
from model.sample import sample_float, sample_integer, to_float

STEPS = 8
NOTHING = [
    [],
    [DittoConfig()],
    [ViDAConfig(products=())],
    [ViDAConfig(products=(), mixing=True)],
    [ViDAConfig(refresh=1, over=Over.TIMESTEPS)],
    [CMCConfig(threshold=0, query_threshold=0)],
    [EXIONConfig(ffn=FFNReuseConfig(sparse_steps=0), eager=None)],
    [EXIONConfig(ffn=FFNReuseConfig(permille=1000), eager=EagerConfig(permille=1000, dominance=Dominance.NEVER))],
    [ORBISConfig(q_ratio=0)],
    [DiToConfig(q_ratio=0, interval=3, weight=7)],
    [AsymRnRConfig(q_ratio=0, kv_ratio=0)],
    [ToMeConfig(ratio=0)],
]
METHODS = [
    ViDAConfig(),
    ViDAConfig(over=Over.TIMESTEPS, products=(), element_threshold=2),
    CMCConfig(segment=4),
    CMCConfig(segment=4, threshold=0, query_threshold=12),
    EXIONConfig(eager=None),
    EXIONConfig(ffn=None),
    EXIONConfig(ffn=None, eager=EagerConfig(dominance=Dominance.SHARE, dominance_threshold=500)),
    ORBISConfig(kv_ratio=0.25),
    ORBISConfig(rule=Rule.COVER, guide=Guide.INPUT),
    ORBISConfig(rule=Rule.DENSITY, kv_ratio=0.25, kv_guide=KeyGuide.VALUE, measure=Measure.COSINE, bits=4),
    ORBISConfig(after_projection=True, measure=Measure.SAD),
    DiToConfig(interval=4, weight=256),
    DiToConfig(weight=256, penalty=Penalty.SCALE),
    AsymRnRConfig(),
    ToMeConfig(),
]


@pytest.fixture(scope="module")
def twin():
    return float_twin.load_twin("tiny")


def sample(twin, configs):
    return float_twin.sample(configs, twin, twin.quantised.noise[1:2], [1], STEPS)[0]


@pytest.fixture(scope="module")
def dense(twin):
    noise, label = twin.quantised.noise[1], 1
    real = sample_float(load_network("tiny")[0], noise[None], torch.tensor([label]), STEPS)[0]
    return real, sample_integer(twin.quantised, noise, label, Operators(), STEPS)


@pytest.mark.parametrize("configs", NOTHING, ids=str)
def test_twins_that_leave_nothing_out_equal_the_float_network(twin, dense, configs):
    assert (sample(twin, configs) - dense[0]).abs().max() < 1e-5


@pytest.mark.parametrize("config", METHODS, ids=str)
def test_a_twin_loses_about_what_the_integer_method_loses(twin, dense, config):
    integer = sample_integer(twin.quantised, twin.quantised.noise[1], 1, build([config], twin.quantised, STEPS), STEPS)
    lost = psnr(sample(twin, [config]), dense[0]), psnr(to_float(integer), to_float(dense[1]))
    assert lost[0] == pytest.approx(lost[1], abs=4)
    assert lost[0] < 45


class Both(Operators):
    """Integer products by an integer method; holds its twin, given the same operands, to the same results."""

    def __init__(self, integer, twin):
        super().__init__()
        self.integer, self.twin = integer, twin

    def begin(self, step):
        self.integer.begin(step)
        self.twin.begin(step)

    def linear(self, *operands):
        return self.held("linear", *operands)

    def attention(self, *operands):
        return self.held("attention", *operands)

    def held(self, name, site, *operands):
        result = getattr(self.integer, name)(site, *operands)
        assert torch.equal(getattr(self.twin, name)(site, *(x.double() for x in operands)), result.double())
        return result


@pytest.mark.parametrize(
    "config",
    [
        ViDAConfig(element_threshold=2, column_permille=250),
        ViDAConfig(over=Over.TIMESTEPS),
        CMCConfig(segment=4, reach=1),
        CMCConfig(segment=4, query_threshold=12),
        EXIONConfig(ffn=FFNReuseConfig(permille=300), eager=None),
        EXIONConfig(ffn=FFNReuseConfig(threshold=4), eager=None),
        ORBISConfig(kv_ratio=0.25, kv_guide=KeyGuide.VALUE, measure=Measure.SAD, blocks=("spatial", "temporal")),
        ORBISConfig(rule=Rule.DENSITY, guide=Guide.INPUT),
        DiToConfig(interval=3, weight=256, kv_ratio=0.25),
        AsymRnRConfig(kv_ratio=0),
    ],
    ids=str,
)
def test_on_int8_operands_a_twin_decides_as_the_law(twin, config):
    network = twin.quantised
    both = Both(build([config], network, STEPS, counting=False), float_twin.build([config], twin, STEPS))
    video = network.noise[2]
    for step in range(STEPS):
        video = denoise(network, video, 2, step, STEPS, both)


def random(*shape):
    return torch.randint(-127, 128, shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("detection", list(Detection))
def test_leading_ones_of_integers_and_of_fractions(detection):
    left, right = random(5, 9), random(9, 4)
    found = floats.log_product(left.double(), right.double(), detection)
    assert torch.equal(found, log_matmul(left, right, detection).double())
    assert torch.equal(floats.log_product(left / 1024, right / 8, detection), found / 8192)


@pytest.mark.parametrize("permille", [0, 1, 100, 999, 1000])
def test_quantile(permille):
    hidden = random(7, 50)
    assert floats.quantile_threshold(hidden.double(), permille) == quantile_threshold(hidden, permille)


@pytest.mark.parametrize("measure", list(Measure))
def test_losses(measure):
    a, b = random(6, 8), random(5, 8)
    a[2] = 0
    off = (floats.losses(a.double(), b.double(), measure) - losses(a, b, measure)).abs().max()
    assert off <= (1 if measure is Measure.COSINE else 0)


DOMINANCE = [(Dominance.MARGIN, 300), (Dominance.SHARE, 300), (Dominance.NEVER, 0)]


@pytest.mark.parametrize(("rule", "threshold"), DOMINANCE)
def test_dominated_rows(twin, rule, threshold):
    network, scores = twin.quantised, 100 * random(200, 16)
    scale = network.blocks[0].attentions[0].softmax
    law = dominated_rows(scores, rule, threshold, scale, network.tables.exp2)
    found = floats.dominated_rows(scores.double(), rule, threshold, scale)
    assert (found != law).float().mean() < 0.02                      # the law rounds scores and probabilities
    assert bool(law.any()) == bool(found.any()) == (rule is not Dominance.NEVER) and not law.all()
    one = floats.dominated_rows(scores[:, :1].double(), rule, threshold, scale)
    assert torch.equal(one, dominated_rows(scores[:, :1], rule, threshold, scale, network.tables.exp2))


def test_every_token_becomes_the_mean_of_those_with_its_source():
    rows = random(5, 3).double()
    table = RowTable(5, torch.tensor([0, 3, 4]), torch.tensor([[1, 3], [2, 3]]))
    mean = (rows[1] + rows[2] + rows[3]) / 3
    assert torch.allclose(floats.spread_mean(rows, table), torch.stack([rows[0], mean, mean, mean, rows[4]]))


@pytest.mark.parametrize("preset", ["stdit", "full", "latent", "vdt"])
def test_other_families_equal_their_float_networks(preset):
    other = float_twin.load_twin(preset)
    noise = other.quantised.noise[:1]
    real = sample_float(load_network(preset)[0], noise, torch.tensor([1]), STEPS)
    found = float_twin.sample([ViDAConfig(products=(), mixing=True)], other, noise, [1], STEPS)
    assert (found - real).abs().max() < 1e-5


def test_scales_are_those_that_the_integer_network_was_made_with(twin):
    seen = calibrate(load_network("tiny")[0])
    attention, block = twin.blocks[0].attentions[0], twin.blocks[0]
    prefix = "blocks.0.attention.spatial"
    names = {f"{prefix}.qkv.q": attention.scales[0], f"{prefix}.qkv.k": attention.scales[1],
             f"{prefix}.qkv.v": attention.scales[2], f"{prefix}.qkv.in": attention.qkv.operand,
             f"{prefix}.out.in": attention.out.operand, "blocks.0.fc1.in": block.fc1.operand,
             "blocks.0.fc2.in": block.fc2.operand, "head.in": twin.head.operand}
    for name, scale in names.items():
        assert scale == pytest.approx(seen[name] / 127, rel=1e-3), name
    assert twin.embed.operand == 2**-PIXEL_FRACTION_BITS


def test_methods_that_exclude_each_other_are_refused(twin):
    with pytest.raises(VidaError, match="both own the tables"):
        float_twin.build([ORBISConfig(), DiToConfig(interval=2)], twin)


def test_psnr_of_a_setting():
    assert float_twin.twin_float_db("tiny", (DittoConfig(),), STEPS, 1) is None
    assert 15 < float_twin.twin_float_db("tiny", (ViDAConfig(),), STEPS, 1) < 60
