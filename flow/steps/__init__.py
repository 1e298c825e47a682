# SPDX-License-Identifier: Apache-2.0
"""The steps of the main job: each a module with `run(pdk, progress) -> StepResult`, each in a process of its own."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path

from flow.inputs import digest


@dataclass(frozen=True)
class Step:
    """`module` runs it; `after` names the steps that come first; `folders` hold data that it may read."""

    module: str
    title: str
    folders: tuple[str, ...]
    timeout_s: float
    after: tuple[str, ...] = ()
    needs_pdk: bool = False


#: In the order in which they are started: the longest first, and what others wait for.
STEPS = {
    "simulate": Step("flow.steps.simulate", "cycles of the Verilog, against the law", ("hw", "model", "verif"), 3600),
    "machine": Step("flow.steps.machine", "sampling runs on the whole machine", ("hw", "model", "host", "verif"), 3600),
    "synthesise": Step("flow.steps.synthesise", "area and critical path", ("hw", "synth", "flow/explore"), 3600,
                       needs_pdk=True),
    "bandwidth": Step("flow.steps.bandwidth", "whole machines at equal area and bandwidth",
                      ("hw", "model", "host", "verif", "synth"), 3600, after=("machine",), needs_pdk=True),
    "array": Step("flow.steps.array", "which way of skipping wins per area",
                  ("hw", "model", "verif", "synth", "flow/explore"), 5400, after=("synthesise",), needs_pdk=True),
    "quality": Step("flow.steps.quality", "whole sampling runs", ("hw", "model", "flow/quality"), 1800),
    "prove": Step("flow.steps.prove", "proofs, and lines that random programs execute",
                  ("hw", "model", "host", "verif"), 1800),
    "generate": Step("flow.steps.generate", "Verilog of paper, twice", ("hw",), 900),
    "compare": Step("flow.steps.compare", "speed-ups", ("hw", "model", "verif", "synth"), 900,
                    after=("simulate", "synthesise"), needs_pdk=True),
}


def inputs_digest(name: str, pdk: Path | None) -> str:
    """Digest of everything that the step `name` is computed from; another one makes a kept result stale."""
    step, libraries = STEPS[name], ""
    if step.needs_pdk and pdk is not None and pdk.is_dir():
        libraries = " ".join(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}"
                             for file in sorted(pdk.iterdir()))
    return f"{digest(step.module, step.folders)} {libraries}".strip()


def collect_rarely() -> None:
    """For processes of a step: what they make lives long, and a fifth of a schedule is the collector in vain."""
    gc.set_threshold(1_000_000, 50, 50)
