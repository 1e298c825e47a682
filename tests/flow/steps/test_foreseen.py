# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import pytest

from flow.results import StepResult
from flow.steps import foreseen
from flow.steps.foreseen import BASELINE, METHODS, add_foreseen
from flow.steps.machine_areas import LIBRARY, kept_areas, scaled_control
from hw.config import load_config
from synth.group import Synthesiser
from synth.machine import MachineArea


def _cycles(widths, progress):
    return {BASELINE: {str(width): 100 for width in widths}, "utilisation": 0.9,
            **{preset: {method: {str(width): taken for width in widths} for method in METHODS}
               for preset, taken in (("default", 200), ("paper", 400))}}


def test_speed_up_is_cycles_times_area_times_clock(monkeypatch):
    areas = {"default": MachineArea(100.0, 60.0, 40.0, 9.0, 1000.0),
             "paper": MachineArea(50.0, 60.0, 40.0, 9.0, 900.0),
             "dense8": MachineArea(200.0, 60.0, 40.0, 9.0, 900.0)}
    monkeypatch.setattr(foreseen, "_cycles", _cycles)
    monkeypatch.setattr(foreseen, "kept_areas", lambda: areas)
    step = StepResult()
    add_foreseen(step, (64, 8), Synthesiser(None), print)
    found = {result.name: result for result in step.results}
    assert found["machine.speedup.ditto.bw8"].value == pytest.approx(100 / 200 * 300 / 200 * 900 / 1000)
    assert found["machine.paper.speedup.vida.bw64"].value == pytest.approx(100 / 400 * 300 / 150)
    assert all(result.kind == "modelled" for result in step.results)
    assert {f"machine.speedup.{method}.bw{width}" for method in ("original", "ditto", "vida")
            for width in (64, 8)} <= set(found)
    shown = step.data["small"]["presets"]["default"]
    assert shown["curve"]["dense"]["64"] == found["machine.speedup.ditto.bw64"].value
    assert shown["carried"]["8"] == [] and "fc2" in shown["carried"]["64"]


def test_groups_are_of_todays_sources_where_the_library_is_there(monkeypatch):
    class Found(Synthesiser):
        def group(self, config, inside=True):
            return SimpleNamespace(logic=25.0, path_ps=950.0)

    found = Found(None)
    found.library = LIBRARY
    area = foreseen._area("default", found)
    assert area.groups == 100 and area.path_ps == 950
    assert area.vector == kept_areas()["default"].vector
    assert foreseen._area("default", Synthesiser(None)) == kept_areas()["default"]


def test_areas_of_both_machines_are_kept():
    areas = kept_areas()
    assert areas["dense8"].groups > areas["default"].groups > 90_000
    assert 50_000 < areas["paper"].groups < areas["default"].groups
    assert all(0.5 < area.vector / areas["default"].vector < 2 and area.path_ps > 500 for area in areas.values())


def test_control_is_scaled_from_one_group():
    native, tiny = load_config("dense8"), load_config("tiny")
    for ccpes, area in ((2, 20.0), (4, 27.0)):
        assert scaled_control(native.replace(pegs=1, ccpes=ccpes), 20.0, 27.0, 1.0) == pytest.approx(area)
    assert scaled_control(native, 20.0, 27.0, 1.0) == pytest.approx(13 * 7 / 4 + 3.5 * 8 * 35 / 14)
    assert scaled_control(tiny, 20.0, 27.0, 1.0) == pytest.approx(20.0 + tiny.scan)
