# SPDX-License-Identifier: Apache-2.0
"""Everything that the steps of the main job found, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flow.checks import checks
from flow.quoted import HYBRID, SHARES
from flow.results import Check, Result, StepResult, read_step, results_folder, value_of
from flow.steps import STEPS
from hw.errors import VidaError


@dataclass(frozen=True)
class Collected:
    """All steps' results, the quoted ones, all checks (those of the limits included), and each step's data."""

    results: list[Result]
    checks: list[Check]
    data: dict[str, dict[str, Any]]

    def value(self, name: str) -> float | None:
        """Value of a result, None where there is none."""
        return value_of(self.results, name)


def collect() -> Collected:
    """Read every step's JSON; raises VidaError where one is missing: run the main job first."""
    steps: dict[str, StepResult] = {}
    for name in STEPS:
        path = results_folder() / f"{name}.json"
        if not path.exists():
            raise VidaError(f"no result of step {name} ({path}): run `make` first")
        steps[name] = read_step(path)
    results = [result for step in steps.values() for result in step.results] + [*SHARES.values(), *HYBRID.values()]
    found = [check for step in steps.values() for check in step.checks]
    return Collected(results, checks(results) + found, {name: step.data for name, step in steps.items()})
