# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model.approximate.build import build
from model.approximate.config import Defo, DittoConfig
from model.approximate.demand import Demand, Roofline, demand
from model.approximate.ditto import RowDifferences
from model.exact.encode.encoder import digits
from model.exact.encode.nibbles import Nibbles, count_items
from model.exact.operators import Operators, Site
from model.methods import method
from model.sample import sample_integer


def sample(network, operators, steps=8):
    return sample_integer(network, network.noise[1], 1, operators, steps)


@pytest.mark.parametrize("defo", list(Defo))
@pytest.mark.parametrize("bandwidth", [0.01, 64.0, 1e9])
def test_every_choice_gives_the_bits_of_dense(network, defo, bandwidth):
    operators = build([DittoConfig(defo=defo, cost=Roofline(512, bandwidth))], network, 8)
    assert torch.equal(sample(network, operators), sample(network, method("dense")))


def test_bandwidth_decides(network):
    """Differences need more bytes and fewer digits: none with a slow memory, nearly all with a fast one."""
    sent, bytes_left = {}, {}
    for bandwidth in (0.01, 1e9):
        operators = build([DittoConfig(defo=Defo.DEFO, cost=Roofline(512, bandwidth))], network, 8)
        sample(network, operators)
        sent[bandwidth] = len(operators.exact.originals)
        bytes_left[bandwidth] = operators.work.bytes_left
    assert sent[0.01] == 14 and sent[1e9] < 4 and bytes_left[0.01] < bytes_left[1e9]


def test_the_decision_is_the_papers_rule_on_the_function_handed_in(network):
    asked = []

    def cost(one: Demand) -> float:
        asked.append(one)
        return float(one.digits)

    jobs = []
    operators = build([DittoConfig(defo=Defo.DEFO, cost=cost)], network, 8, jobs.append)
    sample(network, operators)
    totals = {}
    for job in jobs:
        if job.step < 2:
            count = (digits(job.current - job.reference) != 0).sum().item() * job.right.shape[-1]
            totals[job.site, job.step] = totals.get((job.site, job.step), 0) + count
    sites = {site for site, _ in totals}
    assert operators.exact.originals == {site for site in sites if totals[site, 0] <= totals[site, 1]}
    assert sum(one.digits for one in asked) == sum(totals.values())
    for job in jobs:
        kept = job.site in operators.exact.originals
        assert job.reference_kind == ("none" if kept and job.step > 1 else "timestep")


def test_defo_plus_takes_row_differences(network):
    jobs = []
    operators = build([DittoConfig(defo=Defo.PLUS, cost=Roofline(512, 0.01))], network, 8, jobs.append)
    sample(network, operators)
    job = next(job for job in jobs if job.step == 3 and job.site.kind == "fc1")
    assert job.reference_kind == "row"
    assert torch.equal(job.reference[:, 1:], job.current[:, :-1]) and not job.reference[:, 0].any()


def test_row_differences_by_definition():
    left, right = torch.randint(-128, 128, (2, 5, 4)), torch.randint(-128, 128, (4, 3))
    bias = torch.randint(-99, 99, (3,))
    jobs = []
    found = RowDifferences(jobs.append).differ(Site("fc1", 0, "spatial"), left, right, bias.expand(2, 5, 3))
    assert torch.equal(found, Operators().linear(Site("fc1", 0, "spatial"), left, right, bias))
    assert torch.equal(jobs[0].init[:, 1:], found[:, :-1])


@pytest.mark.parametrize("nibbles", list(Nibbles))
def test_another_reading_of_the_classes_changes_what_is_counted_and_no_bit(network, nibbles):
    jobs, asked = [], []
    config = DittoConfig(defo=Defo.DEFO, cost=lambda one: asked.append(one.digits) or 0.0, nibbles=nibbles)
    operators = build([config], network, 8, jobs.append)
    assert torch.equal(sample(network, operators), sample(network, method("dense")))
    counted = [int(count_items(job.current - job.reference, nibbles).sum()) * job.right.shape[-1] for job in jobs]
    assert operators.work.digits.total() == sum(counted)
    assert asked == [count for count, job in zip(counted, jobs) if job.step < 2]


def test_bytes_of_a_product():
    left, before, right = torch.ones(2, 3, 4), torch.zeros(2, 3, 4), torch.ones(4, 5)
    operands, results = 24 + 20, 30
    left, before = left.long(), before.long()
    assert demand("single", left, None, right).bytes == operands + results
    assert demand("single", left, before, right).bytes == operands + 24 + results + 2 * 4 * results
    assert demand("first", left, before, right).bytes == operands + 24
    assert demand("second", left, before, right).bytes == 24 + results + 2 * 4 * results
    assert demand("single", left, before, right).digits == 24 * 5
    assert Roofline(10, 2.0)(Demand(100, 40)) == 20 and Roofline(10, 2.0)(Demand(300, 40)) == 30
