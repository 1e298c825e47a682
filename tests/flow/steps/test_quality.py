# SPDX-License-Identifier: Apache-2.0
"""The default setting of every method, as the main job takes it, on the smallest network."""

from flow.figures import compared
from flow.results import MANDATORY, StepResult
from flow.steps import quality
from model.approximate.settings import DEFAULTS


def test_every_method_has_its_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    step = StepResult()
    quality.compare_methods(step, "tiny", 1, lambda text: None)
    found = {result.name: result for result in step.results}
    for method in DEFAULTS:
        names = {"psnr_float_db", "frechet", "work_left", "digits_left", "bytes_left"}
        names |= set() if method == "ditto" else {"psnr_db"}            # of equal videos it has no value
        assert names == {name.rpartition(".")[2] for name in found if name.startswith(f"quality.tiny.{method}.")}
    assert {name for name in MANDATORY if name.startswith("quality.tiny.")} <= set(found)
    assert found["quality.tiny.vida.bytes_left"].kind == "modelled"
    assert "24 videos, measured beforehand by python -m flow.quality" in found["quality.tiny.cmc.frechet"].source
    assert {check.name: check.passed for check in step.checks} == {
        "quality.tiny.ditto.exact": True, "quality.tiny.frechet.current": True}
    one = step.data["compared"]["tiny"]
    assert [row["setting"] for row in one["rows"]] == ["dense", *DEFAULTS.values(), "dense"]
    assert compared.against_work(one["rows"], 20, "digits_left").startswith("<svg")
