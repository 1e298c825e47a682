# SPDX-License-Identifier: Apache-2.0
"""Which blocks the step maps, and what it adds up; areas are made up."""

from __future__ import annotations

import pytest

from flow.explore.silicon import KeptSynthesiser
from flow.steps import synthesise
from synth.area import Area


@pytest.fixture
def asked(monkeypatch):
    """(allocation, depth, block) of every block that was asked for."""
    seen = []

    def block(self, config, name, recipes=()):
        seen.append((config.allocation.value, config.depth, name))
        return Area(name, None, float(len(name)), None, None, 1, 64, "area")

    monkeypatch.setattr(KeptSynthesiser, "block", block)
    return seen


def test_only_the_parts_of_papers_ccpe_are_mapped_alone(asked):
    step = synthesise.run(None, lambda text: None)
    inside = {(allocation, depth) for allocation, depth, name in asked if name in ("dpu", "spu", "merge", "issue")}
    assert inside == {("threshold", 1)}
    values = {result.name: result.value for result in step.results}
    assert values["area.paper.group_ge"] == 8 * len("ccpe") + len("control") + len("requantise")
    assert values["area.dense8.ccpe_ge"] == len("ccpe")
    assert sum(values[f"area.paper.{part}_share"] for part in ("dpu", "spu", "issue", "merge")) == pytest.approx(1)
    assert set(step.data["silicon"]) == {"paper", "paper.balance", "dense8.depth1", "dense8.depth2", "dense8.depth4"}
