# SPDX-License-Identifier: Apache-2.0
"""The Verilog of `paper`: how long it takes, how many modules it has, whether a second time gives the same bytes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flow.results import Check, StepResult
from hw.config import load_config
from hw.generate import generate
from hw.workspace import build_folder

PRESET = "paper"


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Generate twice, the first time into build/verilog/paper. Needs no `pdk`."""
    step, config = StepResult(), load_config(PRESET)
    progress(f"Verilog of {PRESET}")
    started = time.monotonic()
    first = generate(config, build_folder("verilog") / PRESET)
    step.add(f"generate.{PRESET}.seconds", time.monotonic() - started, "s", "measured", "wall time on this machine")
    step.add(f"generate.{PRESET}.modules", first.modules, "modules", "measured", f"in {first.verilog.name}, distinct")
    progress("the same once more")
    with tempfile.TemporaryDirectory(prefix="vida-") as folder:
        second = generate(config, Path(folder))
        same = all(one.read_bytes() == other.read_bytes()
                   for one, other in ((first.verilog, second.verilog), (first.manifest, second.manifest)))
    step.checks.append(Check(f"generate.{PRESET}.same_bytes", same, f"{PRESET} generated twice, Verilog and manifest"))
    return step
