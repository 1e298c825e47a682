# SPDX-License-Identifier: Apache-2.0
"""The array step on made-up cycles and areas: its names, and how they follow from each other."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from flow.explore import tasks
from flow.explore.evaluate import ALL, KINDS, Rate, Silicon
from flow.results import value_of
from flow.steps import array

#: Machine -> cycles for each multiply-accumulate (in thousandths), area without and with the store.
MADE_UP = {"dense8": (2.0, 1000, 1500), "none": (2.0, 1000, 1400), "sparse": (8.0, 500, 1000),
           "threshold": (2.0, 900, 1400), "balance": (1.5, 1000, 1500), "merge": (1.0, 1000, 1500),
           "default": (1.0, 1000, 1500), "paper_hybrid": (4.0, 800, 1300), "paper_none": (6.0, 600, 1100),
           "paper_sparse": (12.0, 400, 900)}


@pytest.fixture
def step(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    monkeypatch.setattr(tasks, "rates", lambda config, *_: [
        Rate(kind, MADE_UP[config.name][0] / 1000, 0.1) for kind in (*KINDS, ALL)])
    monkeypatch.setattr(tasks, "silicon", lambda config, _: Silicon(
        MADE_UP[config.name][1], MADE_UP[config.name][2] - MADE_UP[config.name][1], None))
    monkeypatch.setattr(tasks, "_what_matters", lambda config: config.name)
    # What is made up is not known to another process.
    monkeypatch.setattr(array, "ProcessPoolExecutor", lambda workers, *_: ThreadPoolExecutor(workers))
    return array.run(None, lambda text: None)


def test_the_figures_follow_from_cycles_and_areas(step):
    value = {result.name: result.value for result in step.results}
    assert value["array.merge.throughput_per_area"] == pytest.approx(2.0)
    assert value["array.none.throughput_per_area"] == pytest.approx(1.0)
    assert value["array.threshold.throughput_per_area"] == pytest.approx(1500 / 1400)
    assert value["array.default_over_hybrid"] == pytest.approx(4 * 800 / 1000)
    assert value["array.hybrid_over_dense"] == pytest.approx(1.5 * 600 / 800)
    assert value["array.hybrid_over_sparse"] == pytest.approx(3 * 400 / 800)
    assert value["array.default_over_dense8"] == value["array.default_over_dense8.none_8"] == pytest.approx(2.0)
    assert {result.kind for result in step.results} == {"modelled"}
    assert value_of(step.results, "area.lane_um2.asap7") is None


def test_a_line_for_each_machine(step):
    assert [line["variant"] for line in step.data["lines"]] == list(MADE_UP)
    line = step.data["lines"][-1]
    assert line["shape"] == "depth 1, inplace" and line["macs"] == pytest.approx(1000 / 12)
    assert set(line["claims"]) == {*KINDS, ALL} and len(line["settings"]) == 12
    assert step.data["unit"] == "GE" and step.data["pareto"].startswith("iVBOR")
