# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.approximate.build import build
from model.approximate.config import CMCConfig, Differenced, Over, ViDAConfig
from model.approximate.vida import ViDA
from model.exact.operators import Operators, Site, matmul
from model.methods import method
from model.quantise import load_quantised
from model.sample import sample_integer

EXACT = [
    ViDAConfig(products=()),
    ViDAConfig(products=(), mixing=True),
    ViDAConfig(refresh=1),
    ViDAConfig(products=(), over=Over.TIMESTEPS),
    ViDAConfig(over=Over.TIMESTEPS, refresh=1),
]


def sample(network, operators, steps=8):
    return sample_integer(network, network.noise[1], 1, operators, steps)


def random(*shape, seed=1):
    return torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(seed + len(shape)))


@pytest.mark.parametrize("config", EXACT, ids=str)
def test_two_products_equal_dense_bit_for_bit(network, config):
    operators = build([config], network, 8)
    assert torch.equal(sample(network, operators), sample(network, method("dense")))
    assert operators.work.digits_left < 1


def test_the_default_is_the_method_that_the_machine_runs(network):
    assert torch.equal(sample(network, build([ViDAConfig()], network, 8)), sample(network, method("vida")))


@pytest.mark.parametrize("differenced", list(Differenced))
@pytest.mark.parametrize("over", list(Over))
@pytest.mark.parametrize("kind", ["scores", "values"])
def test_one_product_by_definition(over, kind, differenced):
    """Item after item, loops over elements, nothing shared with the law."""
    left, right = random(4, 1, 3, 5), random(4, 1, 5, 3, seed=2)
    config = ViDAConfig(products=(kind,), over=over, refresh=3, differenced=differenced)
    operators, site = ViDA(config, 4), Site(kind, 0, "spatial")
    found = []
    if over is Over.FRAMES:
        found = list(operators.attention(site, left, right))
    else:
        for step in range(4):
            operators.begin(step)
            found.append(operators.attention(site, left[step : step + 1], right[step : step + 1])[0])
    expected = []
    for item in range(4):
        rows = [[0] * 3 for _ in range(3)]
        for m in range(3):
            for n in range(3):
                if item % 3 == 0:
                    rows[m][n] = sum(int(left[item, 0, m, k]) * int(right[item, 0, k, n]) for k in range(5))
                elif differenced is Differenced.LEFT:
                    rows[m][n] = expected[-1][m][n] + sum(
                        (int(left[item, 0, m, k]) - int(left[item - 1, 0, m, k])) * int(right[item, 0, k, n])
                        for k in range(5))
                else:
                    rows[m][n] = expected[-1][m][n] + sum(
                        int(left[item, 0, m, k]) * (int(right[item, 0, k, n]) - int(right[item - 1, 0, k, n]))
                        for k in range(5))
        expected.append(rows)
    assert [one[0].tolist() for one in found] == expected


def test_only_the_named_products_are_approximate():
    left, right = random(4, 2, 6, 5), random(4, 2, 5, 6)
    operators = ViDA(ViDAConfig(products=("scores",)), 4)
    exact = matmul(left, right)
    assert not torch.equal(operators.attention(Site("scores", 0, "spatial"), left, right), exact)
    assert torch.equal(operators.attention(Site("values", 0, "spatial"), left, right), exact)


@pytest.mark.parametrize("over", list(Over))
def test_snapping_is_a_closed_loop_and_dense_on_what_it_rewrote(over):
    site, jobs = Site("fc1", 0, "spatial"), []
    config = ViDAConfig(products=(), over=over, element_threshold=3)
    operators = ViDA(config, 4, jobs.append)
    start = random(1, 4, 6)
    items = torch.cat([start, start + 2, start + 4, start + 9]).clamp(-128, 127)
    right, bias = random(6, 5, seed=4), random(5)
    if over is Over.FRAMES:
        result = operators.linear(site, items, right, bias)
    else:
        result = torch.cat([operators.linear(site, item[None], right, bias) for item in items])
    rewritten = torch.cat([job.current for job in jobs])
    before = items[0].tolist()
    for item, found in zip(items.tolist()[1:], rewritten.tolist()[1:]):
        before = [[b if abs(x - b) <= 3 else x for x, b in zip(*rows)] for rows in zip(item, before)]
        assert found == before
    assert torch.equal(result, Operators().linear(site, rewritten, right, bias))
    assert (rewritten - items).abs().max() <= 3 and operators.snapped and operators.elements == 3 * 24


def test_cross_attention_and_attention_that_mixes_frames_are_exact():
    left, constant = random(4, 2, 6, 5), random(1, 2, 5, 3).expand(4, -1, -1, -1)
    for over in Over:
        operators = ViDA(ViDAConfig(over=over), 4)
        for step in range(2):
            operators.begin(step)
            found = operators.attention(Site("scores", 0, "cross"), left + step, constant)
            assert torch.equal(found, matmul(left + step, constant))
    for block, shape in (("temporal", (6, 2, 4, 5)), ("full", (1, 2, 24, 5))):
        rows, right = random(*shape), random(*shape[:2], 5, shape[2])
        jobs = []
        operators = ViDA(ViDAConfig(mixing=True), 4, jobs.append)
        assert torch.equal(operators.attention(Site("scores", 0, block), rows, right), matmul(rows, right))
        assert len(jobs) == 4 and bool(jobs[1].reference.any())


def test_full_attention_has_no_frame_to_drop_a_product_of():
    network = load_quantised("full")[0]
    video = network.noise[0]
    found = [sample_integer(network, video, 0, operators, 8)
             for operators in (method("dense"), build([ViDAConfig()], network, 8))]
    assert torch.equal(*found)


def test_thresholds_are_counted_and_columns_snap(network):
    left = {}
    for name, fields in {"none": {}, "element": {"element_threshold": 3}, "column": {"column_permille": 400}}.items():
        operators = build([ViDAConfig(products=(), **fields)], network, 8)
        sample(network, operators)
        left[name] = operators.work.digits_left
        assert (operators.exact.snapped > 0) == (name != "none")
    assert left["element"] < left["none"] > left["column"]


def test_it_runs_alone(network):
    with pytest.raises(VidaError, match="ViDAConfig and CMCConfig: ViDA's sums go on"):
        build([ViDAConfig(), CMCConfig()], network)
