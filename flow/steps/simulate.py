# SPDX-License-Identifier: Apache-2.0
"""Every cycle figure, on the Verilog, and the digits of the operands that were played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flow.results import Result, StepResult
from flow.steps.digits import digit_table
from verif.campaign import measure
from verif.operators import load_list, operands


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Measure; the campaign's runs, rates and traces become the step's data. Needs no `pdk`."""
    plain = measure(progress=progress).as_json()
    progress("digits of the operands")
    data = {key: plain[key] for key in ("runs", "rates", "occupancy")}
    data["digits"] = digit_table(operands(load_list()))
    return StepResult([Result(**item) for item in plain["results"]], data=data)
