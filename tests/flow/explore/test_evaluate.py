# SPDX-License-Identifier: Apache-2.0
"""Rates from the law's schedule, on made-up operands."""

from __future__ import annotations

import pytest
import torch

from flow.explore import evaluate
from flow.explore.evaluate import ALL, KINDS, rates
from hw.config import load_config
from model.networks import preset
from model.vectors import Entry
from verif.cycles import predicted
from verif.operators import Operands, load_list, shares


def entry(rows, length, columns, density):
    generator = torch.Generator().manual_seed(rows)
    current = torch.randint(-15, 16, (rows, length), generator=generator)
    current *= torch.rand(rows, length, generator=generator) < density
    zero = torch.zeros(rows, columns, dtype=torch.int64)
    return Entry("x", "small", "fc1", 0, "spatial", 50, 5, 3, -1, "timestep", "single", current,
                 torch.zeros_like(current), torch.ones(length, columns, dtype=torch.int64), zero, zero)


@pytest.fixture
def work(monkeypatch):
    """One product for each operator of the list; asked for with which reference."""
    made = {operator: Operands(operator, "timestep", (entry(32, 24 + 8 * n, 8, 0.2 + 0.06 * n),))
            for n, operator in enumerate(load_list().operator)}
    evaluate.operator_rates.cache_clear()
    asked = []
    monkeypatch.setattr(evaluate, "operand_set", lambda steps, reference, sample: asked.append(reference) or made)
    return made, asked


def test_a_kind_is_weighed_by_its_operators_shares(work):
    made, asked = work
    config = load_config("tiny").replace(allocation="none", drain="inplace", queue_depth=8)
    found = {rate.operator: rate for rate in rates(config, 50, "timestep", 4)}
    assert tuple(found) == (*KINDS, ALL) and asked == ["timestep"]
    share = shares(load_list(), preset("small"))
    cycles = {operator: predicted(part.products(), config).cycles / part.macs for operator, part in made.items()}
    assert found[ALL].cycles_per_mac == pytest.approx(sum(share[operator] * cycles[operator] for operator in made))
    mine = [operator for operator in made if operator.kind == "fc2"]
    assert found["fc2"].cycles_per_mac == pytest.approx(
        sum(share[operator] * cycles[operator] for operator in mine) / sum(share[operator] for operator in mine))
    assert {rate.threshold for rate in found.values()} == {None}
    # No multiplier can do more than one digit a cycle.
    assert all(rate.digits_per_mac <= rate.cycles_per_mac * config.multipliers for rate in found.values())


def test_policies_with_a_threshold_take_the_best_of_each_kind(work):
    config = load_config("tiny").replace(allocation="threshold", drain="inplace")
    found = {rate.operator: rate for rate in rates(config, 50, "timestep", 4)}
    made, _ = work
    for kind in ("qkv", "fc2"):
        alike = {operator: part for operator, part in made.items() if operator.kind == kind}
        share = shares(load_list(), preset("small"))
        by_threshold = {threshold: sum(share[operator] * predicted(part.products(threshold), config).cycles / part.macs
                                       for operator, part in alike.items()) for threshold in range(5)}
        weight = sum(share[operator] for operator in alike)
        assert found[kind].cycles_per_mac == pytest.approx(min(by_threshold.values()) / weight)
        assert by_threshold[found[kind].threshold] == min(by_threshold.values())


def test_a_threshold_of_zero_leaves_the_sparse_lane_idle(work, monkeypatch):
    monkeypatch.setattr(evaluate, "best_threshold", lambda *_: 0)
    config = load_config("tiny").replace(allocation="threshold", drain="inplace")
    made, _ = work
    operator, part = next(iter(made.items()))
    found = evaluate.operator_rates(config, 50, "timestep", 4)[operator]
    assert found.cycles_per_mac == predicted(part.products(0), config).cycles / part.macs
    assert found.cycles_per_mac < predicted(part.products(4), config).cycles / part.macs


def test_a_native_machine_multiplies_whole_operands(work):
    config = load_config("dense8").replace(ccpes=2, pegs=1)
    found = {rate.operator: rate for rate in rates(config, 50, "timestep", 4)}
    assert work[1] == ["none"] and found[ALL].digits_per_mac == 0
    assert 1 / found[ALL].cycles_per_mac <= config.multipliers


def test_the_best_reference_is_the_faster_one_of_each_operator(work, monkeypatch):
    made, _ = work
    dear = {operator: Operands(operator, "none", (entry(32, 24 + 8 * n, 8, 0.9 if n % 2 else 0.1),))
            for n, operator in enumerate(made)}
    monkeypatch.setattr(evaluate, "operand_set", lambda steps, reference, sample: dear if reference == "none" else made)
    config = load_config("tiny").replace(allocation="none", drain="inplace", queue_depth=8)
    none, timestep = (evaluate.operator_rates(config, 50, name, 4) for name in ("none", "timestep"))
    share = shares(load_list(), preset("small"))
    least = sum(share[operator] * min(none[operator].cycles_per_mac, timestep[operator].cycles_per_mac)
                for operator in made)
    assert rates(config, 50, "best", 4)[-1].cycles_per_mac == pytest.approx(least)
    assert rates(config, 50, "timestep", 4)[-1].cycles_per_mac > least
