# SPDX-License-Identifier: Apache-2.0
import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from flow import long_runs
from flow.long_runs import LongRun, plan, run_long
from hw.config import load_config
from hw.machine import check


def _sampled(exact=1, steps=1):
    return SimpleNamespace(exact=exact, steps=[None] * steps, cycles=1000, utilisation=lambda: 0.9, simulated=1000,
                           cpu_seconds=0.5)


@pytest.fixture(autouse=True)
def foreseen(monkeypatch):
    """The prediction of any run is 1 % too high."""
    monkeypatch.setattr(long_runs, "error_of", lambda made: 0.01)


def _run(runs):
    text = io.StringIO()
    return run_long(runs, Console(file=text, width=200)), text.getvalue()


def test_the_plan_has_every_depth_of_tiny_and_small_on_default():
    runs = plan()
    assert {run.config.depth for run in runs if run.network == "tiny"} == {1, 2, 4}
    assert {run.method for run in runs if run.network == "small" and run.config.name == "default"} >= {"dense", "ditto"}
    for run in runs:
        check(run.config)
    assert len({run.digest() for run in runs}) == len(runs)


def test_what_is_kept_is_not_simulated_again(tmp_path, monkeypatch):
    monkeypatch.setattr(long_runs, "kept_path", lambda folder, digest: tmp_path / f"{digest}.json")
    calls = []
    monkeypatch.setattr(long_runs, "sample", lambda *_, **__: calls.append(1) or _sampled())
    runs = [LongRun(load_config("tiny"), "tiny", "dense", 1)]
    good, text = _run(runs)
    assert good and all(word in text for word in ("1 of 1", "0.900", "2,000", "+1.00"))
    assert _run(runs) == (True, text) and len(calls) == 1


def test_a_step_that_differs_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(long_runs, "kept_path", lambda folder, digest: tmp_path / f"{digest}.json")
    monkeypatch.setattr(long_runs, "sample", lambda *_, **__: _sampled(exact=1, steps=2))
    good, text = _run([LongRun(load_config("tiny"), "tiny", "ditto", 2)])
    assert not good and "1 of 2" in text
