# SPDX-License-Identifier: Apache-2.0
"""Proofs of the machine `tiny`, those that take seconds, and how many of its Verilog's lines random programs execute.

The rest of what is claimed takes minutes: `vida prove` and `make regress` ask about all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flow.proofs import answer, chosen
from flow.results import Check, StepResult
from hw.config import load_config
from verif.line_coverage import machine_coverage

#: The machine, and limits of a question: cycles from reset where induction does not close, seconds.
PRESET, DEPTH, TIMEOUT = "tiny", 8, 300
#: Random programs whose lines are counted, and their seed.
PROGRAMS, SEED = 30, 1


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Ask and count; a check per claim. Needs no `pdk`."""
    step, config, lines = StepResult(), load_config(PRESET), []
    for claim in chosen(config):
        if not claim.main:
            continue
        progress(f"proof: {claim.name}")
        found = answer(claim, config, DEPTH, TIMEOUT)
        step.checks.append(Check(f"proof.{claim.name}", found.holds, f"{PRESET}, {claim.blocks}: {found.text}"))
        lines.append({"claim": claim.name, "blocks": claim.blocks, "properties": list(claim.properties),
                      "result": found.text, "seconds": found.seconds})
    progress("line coverage")
    covered = machine_coverage(config, SEED, PROGRAMS)
    step.add("coverage.line", covered.hit / covered.total, "1", "measured",
             f"machine {PRESET}, {covered.total} lines in branches of always blocks of the Verilog of its "
             f"{len(covered.modules)} modules that have any (continuous assignments are not counted, a module counts "
             f"once), executed by {covered.programs} random programs of the soak, seed {SEED}, spoilt ones "
             "among them, each held against the law")
    step.data = {"claims": lines, "missed": {module.module: [module.hit, module.total] for module in covered.modules}}
    return step
