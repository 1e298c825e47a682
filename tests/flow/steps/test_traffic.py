# SPDX-License-Identifier: Apache-2.0
"""The traffic model on operators small enough to count by hand."""

import pytest

from flow.results import StepResult
from flow.steps.traffic import add_traffic, execution_bytes, network_bytes, shape
from model.networks import NetworkConfig
from verif.operators import Operator, OperatorList

NETWORK = NetworkConfig(frames=2, size=8, patch=4, dim=8, heads=2, pairs=1, classes=2)  # 4 tokens a frame
LINEAR = Operator(kind="out", layer=0, emit=("accumulators",))
INT8 = Operator(kind="qkv", layer=0, emit=("int8",))
SCORES = Operator(kind="scores", layer=0, emit=("accumulators",))
TEMPORAL = Operator(kind="values", layer=1, emit=("accumulators",))
LIST = OperatorList(format=1, network="small", steps=4, at=(1,), frame=1, tokens=(0,), columns=8,
                    operator=(LINEAR, SCORES))


def test_shapes():
    assert shape(LINEAR, NETWORK) == (1, 8, 8, 8)
    assert shape(INT8, NETWORK) == (1, 8, 8, 24)
    assert shape(SCORES, NETWORK) == (4, 4, 4, 4)
    assert shape(TEMPORAL, NETWORK) == (8, 2, 2, 4)


@pytest.mark.parametrize(("operator", "reference", "count"), [
    (LINEAR, "none", 64 + 64 + 4 * 64),
    (LINEAR, "timestep", 64 + 64 + 4 * 64 + 64 + 4 * 64),
    (LINEAR, "frame", 64 + 64 + 4 * 64 + 64),
    (INT8, "none", 64 + 192 + 192),
    (INT8, "timestep", 64 + 192 + 192 + 64 + 2 * 4 * 192),
    (SCORES, "timestep", 4 * (16 + 16 + 64 + 16 + 16 + 64)),
    (SCORES, "frame", 4 * (16 + 16 + 64 + 16)),
])
def test_bytes(operator, reference, count):
    assert execution_bytes(operator, reference, NETWORK, 28) == count


def test_a_method_is_the_mix_of_its_references():
    totals = network_bytes(LIST, NETWORK, 28, refresh=2)
    plain = execution_bytes(LINEAR, "none", NETWORK, 28) + execution_bytes(SCORES, "none", NETWORK, 28)
    carried = execution_bytes(LINEAR, "timestep", NETWORK, 28) + execution_bytes(SCORES, "timestep", NETWORK, 28)
    assert totals["original"] == plain
    assert totals["ditto"] == pytest.approx(plain / 4 + 3 * carried / 4)


def test_every_figure_is_modelled():
    step = StepResult()
    add_traffic(step, LIST, NETWORK, 28, refresh=2)
    assert {result.kind for result in step.results} == {"modelled"}
    assert {result.name for result in step.results} >= {"traffic.ditto.bytes", "traffic.vida.vs_original"}
