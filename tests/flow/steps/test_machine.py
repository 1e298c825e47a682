# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest

from flow.steps.machine import SHARE, compare
from host.foresee import Foreseen


def test_operators_that_compute_and_matter_are_judged():
    made = SimpleNamespace(cycles=1000, busy={
        "fc1": {"peg0": 600}, "fc1.load": {"load": 300}, "norm": {"vector": int(1000 * SHARE) - 1},
        "constants": {"load": 50}})
    foreseen = Foreseen(1010.0, {"fc1": {"peg0": 630.0}, "fc1.load": {"load": 240.0}, "norm": {"vector": 18.0}})
    lines = compare(made, foreseen)
    assert [line["operator"] for line in lines] == ["fc1", "fc1.load", "norm"]
    assert [line["judged"] for line in lines] == [True, False, False]
    assert lines[0]["error"] == pytest.approx(0.05) and lines[1]["error"] == pytest.approx(-0.2)
