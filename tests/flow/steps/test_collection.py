# SPDX-License-Identifier: Apache-2.0
"""The garbage collector in the processes of a step."""

from __future__ import annotations

import gc

from flow.results import StepResult
from flow.steps import __main__ as step_main
from flow.steps import array


def test_a_step_collects_rarely(monkeypatch, tmp_path):
    usual, seen = gc.get_threshold(), []
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    monkeypatch.setattr(array, "run", lambda pdk, progress: seen.append(gc.get_threshold()[0]) or StepResult())
    try:
        assert step_main.main(["array"]) == 0 and seen == [1_000_000] and usual[0] < 1_000_000
    finally:
        gc.set_threshold(*usual)
