# SPDX-License-Identifier: Apache-2.0
import pytest

from model.approximate.runs import Between, linear_links, links
from model.exact.operators import Operators, Site
from model.exact.step import denoise
from model.networks import CROSS, PRESETS
from model.quantise import load_quantised


def names(found):
    return [(link.first.kind, link.second.kind, link.operand, link.whole) for link in found]


def test_links_of_a_block_of_self_attention():
    config = load_quantised("tiny")[0].config
    assert names(linear_links(config))[:4] == [
        ("qkv", "scores", "q", True), ("qkv", "scores", "k", True), ("qkv", "values", "v", True),
        ("values", "out", "", False),
    ]


def test_cross_attention_takes_differences_of_its_queries_alone():
    config = load_quantised("stdit")[0].config
    found = [link for link in linear_links(config) if link.first.block == CROSS and link.first.layer == 0]
    assert names(found) == [("q", "scores", "q", False), ("values", "out", "", False)]


def test_every_other_neighbour_has_a_function_between(network):
    stopped = {(link.first.kind, link.second.kind): link.between for link in links(network.config)
               if link.between not in (Between.REQUANTISE, Between.DIVIDE)}
    assert stopped == {("scores", "values"): Between.SOFTMAX, ("out", "fc1"): Between.LAYERNORM,
                       ("fc1", "fc2"): Between.GELU}


@pytest.mark.parametrize("preset", PRESETS)
def test_links_are_of_operators_that_follow_each_other_in_the_step(preset):
    """Both ends run, the second after the first; every product of a block but its last begins a link."""
    network, order = load_quantised(preset)[0], []
    operators = Operators(lambda job: order.append(job.site))
    denoise(network, network.noise[0], 0, 0, 50, operators)
    found = links(network.config)
    for link in found:
        assert order.index(link.first) < order.index(link.second)
    ends = {site for site in order if site.kind in ("embed", "head", "fc2")}
    assert {link.first for link in found} == set(order) - ends
    assert {link.second for link in found} >= {site for site in order if site.kind not in ("embed", "head", "q", "qkv")}
    assert all(isinstance(link.second, Site) for link in found)
