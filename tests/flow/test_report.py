# SPDX-License-Identifier: Apache-2.0
"""The page and the summary from made-up results of every step."""

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from flow import report
from flow.results import MANDATORY, MANDATORY_ASAP7, Check, Result, StepResult, results_folder, write_step
from flow.steps import STEPS
from hw.errors import VidaError

TRACE = {"dense": [1, 0, 1, 1], "sparse": [0, 1, 1, 0], "tile": [0, 0, 1, 1]}


ROWS = [{"setting": name, "network": "small", "steps": steps, "psnr_db": psnr, "psnr_float_db": 30.0, "frechet": None,
         "work_left": 0.9, "digits_left": 0.4, "bytes_left": 1.4} | more
        for name, steps, psnr, more in (("dense", 20, None, {}), ("ditto", 20, None, {}), ("vida.values", 20, 24.0, {}),
                                        ("dense", 8, None, {"fewer": {"psnr_db": 29.0}}))]


def run_of(machine, reference, cycles):
    return {"machine": machine, "operator": "fc1 spatial", "reference": reference, "skip": True, "cycles": cycles,
            "macs": 100}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A finished main job, with ASAP7 or without any library; returns a function that writes it."""
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))

    def make(library="asap7", leave_out="", value=1.0):
        names = [name for name in MANDATORY + (MANDATORY_ASAP7 if library else ()) if name != leave_out]
        names += ["area.paper.group_ccpe_um2.asap7", "area.paper.store_um2.asap7"]
        data = {
            "simulate": {
                "runs": [run_of(machine, reference, cycles) for machine in ("paper", "paper.balance")
                         for reference, cycles in (("none", 50), ("timestep", 25), ("frame", 60))],
                "occupancy": {"paper.timestep": TRACE},
                "digits": [{"operator": "fc1 spatial", "reference": "timestep", "zero": 0.6, "one": 0.3, "two": 0.1}]},
            "synthesise": {"libraries": [library] if library else [], "kind": "measured", "basis": "some basis",
                           "unit": "um2",
                           "shares": {"asap7": {"DPUs": 0.6, "SPUs": 0.3, "allocation": 0.04, "merge": 0.06}}},
            "array": {"lines": [{"variant": "merge", "shape": "depth 4, shadow", "logic": 24000.0, "store": 11000.0,
                                 "path_ps": 990.0 if library else None, "macs": 700.0, "digit_use": 0.5,
                                 "claims": {"fc1": 1.9, "all": 0.7}, "settings": {"timestep, 50 steps": 0.7}}],
                      "operators": ["fc1", "all"], "basis": "some basis", "unit": "um2", "pareto": "AAAA"},
            "machine": {"steps": 50, "timelines": {"dense": [["peg0", "block0.qkv", 0, 90], ["vector", "norm", 5, 9]]},
                        "lines": [{"method": "dense", "what": "whole", "exact": 50, "steps": 50, "cycles": 5000,
                                   "predicted": 5100, "error": 0.02, "against_dense": 1.0, "utilisation": 0.9,
                                   "digits": 7, "bytes": 64, "vector_share": 0.2, "psnr": None, "psnr_float": 30.0}],
                        "foreseen": {"dense": 1, "ditto": 7},
                        "model": {"dense": [{"operator": "block0.qkv", "unit": "peg0", "measured": 90,
                                             "predicted": 91.5, "error": 0.0167, "judged": True}]}},
            "bandwidth": {"curve": {"ditto": {"64": 1.5, "8": 0.9}}, "baseline": 4,
                          "areas": {"own": [1.0, 2.0, 3.0, 9.0]},
                          "small": {"network": "small", "baseline": "dense8", "step": 25, "presets": {"default": {
                              "curve": {"original": {"64": 0.8, "8": 0.7}, "ditto": {"64": 1.1, "8": 0.7}},
                              "carried": {"64": ["fc2"], "8": []}}}}},
            "quality": {"refresh": 2, "steps": 50, "videos": 4, "shorter": {"20": 30.0, "40": 35.0},
                        "compared": {"small": {"steps": 20, "videos": 2, "zeros": "AA==", "strips": "AA==",
                                               "rows": ROWS}}}}
        for name in STEPS:
            own = [Result(result, value, "1", "measured", "made up") for result in names] if name == "simulate" else []
            found = [Check("made.up", True, "<b>fine</b>")] if name == "quality" else []
            write_step(results_folder() / f"{name}.json", StepResult(own, found, data.get(name, {})), "", 0.0)
        sheet = np.zeros((64, 128), np.uint8)
        np.savez(results_folder() / "machine.npz", float=sheet, dense=sheet)
        np.savez(results_folder() / "sheets.npz", **{f"{network}_{row}": sheet for network in ("small", "tiny")
                                                     for row in ("data", "float", "int8", "vida")})

    return make


def write():
    stream = io.StringIO()
    page = report.write(Console(file=stream, width=140))
    return page, page.read_text(), stream.getvalue()


def test_the_page_is_whole_and_needs_no_other_file(results):
    results()
    page, text, _ = write()
    assert "src=\"http" not in text and "href=\"http" not in text and "{{" not in text
    assert text.count("<svg") == 10 and text.count("<img alt=\"") == 6
    assert not re.findall(r">(?:nan|None|inf)<", text)
    assert "&lt;b&gt;fine" in text
    assert "1.200" in text and "class=\"n loses\"" in text       # frame: 60 cycles where 50 are enough
    assert "No Liberty files" not in text


def test_the_summary_holds_the_checks_of_the_limits_too(results):
    results(value=2.0)
    page, _, shown = write()
    summary = json.loads((page.parent / "summary.json").read_text())
    found = {check["name"]: check["passed"] for check in summary["checks"]}
    assert found["made.up"] and not found["rtl.mismatches"]
    assert "check failed rtl.mismatches: 2, must be exactly 0" in shown and str(page) in shown


def test_without_liberty_the_page_says_so(results):
    results(library=None)
    assert "No Liberty files were given" in write()[1]


def test_a_missing_figure_or_step_is_one_clear_error(results):
    results(leave_out="rtl.vectors")
    with pytest.raises(VidaError, match="no result of the name rtl.vectors"):
        write()
    (results_folder() / "quality.json").unlink()
    with pytest.raises(VidaError, match="no result of step quality"):
        write()


@pytest.mark.parametrize(("value", "unit", "text"), [
    (0.98765, "1", "0.988"), (41.919, "dB", "41.92"), (177_408, "results", "177,408"), (1234.5, "um2", "1,234"),
    (1.0, "1", "1.000"), (0, "results", "0"), (250.06, "MHz", "250.1"),
])
def test_figures_are_written_for_people(value, unit, text):
    assert report.format_value(value, unit) == text
