# SPDX-License-Identifier: Apache-2.0
"""A check for each claim that the main job asks, and the covered lines with what they are of."""

from flow.proofs import Answer
from flow.results import value_of
from flow.steps import prove
from verif.coverage import LineCoverage
from verif.formal.claims import CLAIMS
from verif.line_coverage import Covered


def test_step(monkeypatch):
    verdicts = {claim.name: "proved" for claim in CLAIMS} | {"axi.lite": "open"}
    monkeypatch.setattr(prove, "answer", lambda claim, *_: Answer(claim.name, verdicts[claim.name], 1, 2.0))
    covered = Covered((LineCoverage("a", 8, 10, (3, 4)), LineCoverage("b", 10, 10, ())), 75, 1000)
    monkeypatch.setattr(prove, "machine_coverage", lambda *_: covered)
    told = []
    step = prove.run(None, told.append)
    assert [check.name for check in step.checks] == [f"proof.{claim.name}" for claim in CLAIMS if claim.main]
    assert [check.name for check in step.checks if not check.passed] == ["proof.axi.lite"]
    assert value_of(step.results, "coverage.line") == 0.9 and "75 random programs" in step.results[0].source
    assert step.data["missed"] == {"a": [8, 10], "b": [10, 10]} and told[-1] == "line coverage"
