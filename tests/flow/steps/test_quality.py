# SPDX-License-Identifier: Apache-2.0
"""The default setting of every method, as the main job takes it, on the smallest network and schedule."""

import math

from flow.figures import compared
from flow.results import MANDATORY, StepResult
from flow.steps import quality
from model.approximate.settings import DEFAULTS


def test_every_method_has_its_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    monkeypatch.setattr(quality, "COMPARED_STEPS", (8,))
    step = StepResult()
    quality.compare_methods(step, "tiny", 8, lambda text: None)
    found = {result.name: result for result in step.results}
    for method in DEFAULTS:
        names = {"psnr_float_db", "frechet", "work_left", "digits_left", "bytes_left"}
        names |= set() if method == "ditto" else {"psnr_db"}            # of equal videos it has no value
        assert names == {name.rpartition(".")[2] for name in found if name.startswith(f"quality.tiny.{method}.")}
    assert {name for name in MANDATORY if name.startswith("quality.tiny.")} <= set(found)
    assert found["quality.tiny.vida.bytes_left"].kind == "modelled"
    assert math.isfinite(found["quality.tiny.cmc.frechet"].value)
    assert [check.passed for check in step.checks] == [True]
    one = step.data["compared"]["tiny"]
    assert [row["setting"] for row in one["rows"]] == ["dense", *DEFAULTS.values()]
    assert compared.against_work(one["rows"], 8, "digits_left").startswith("<svg")
