# SPDX-License-Identifier: Apache-2.0
"""Results and checks: what every step of the main job hands over, and `summary.json`, which holds them all."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hw.errors import VidaError
from hw.version import VERSION
from hw.workspace import build_folder

FORMAT = 1
KINDS = ("measured", "modelled", "quoted")

_METHODS = ("vida", "ditto")
_FIGURES = ("vs_dense8_equal_area", "vs_original_skip", "vs_dense_mode")
#: Names that a summary must hold.
MANDATORY = (
    "rtl.vectors", "rtl.mismatches",
    "dense.utilisation.shadow", "dense.utilisation.shadow_k16", "dense.utilisation.inplace",
    "dense8.utilisation.shadow", "dense8.utilisation.inplace", "default.utilisation.shadow",
    "issue.schedule_ratio", "issue.schedule_over_bound", "issue.digit_efficiency",
    *(f"speedup.{method}.{figure}{policy}"
      for policy in ("", ".balance") for method in _METHODS for figure in _FIGURES),
    "quality.vida.psnr_db", "quality.int8.psnr_db",
    *(f"quality.{network}.{method}.{figure}" for network in ("tiny", "small", "full")
      for method in ("ditto", "vida", "cmc", "exion", "orbis", "dito", "asymrnr", "tome")
      for figure in ("psnr_float_db", "work_left", "digits_left", "bytes_left", "frechet")),
    "generate.paper.seconds", "generate.paper.modules", "sim.cycles_per_second",
    "area.paper.dpu_share", "area.paper.spu_share",
    *(f"array.{variant}.throughput_per_area" for variant in ("none", "sparse", "threshold", "balance", "merge")),
    "array.hybrid_over_dense", "array.hybrid_over_sparse", "array.default_over_hybrid",
    "array.default_over_hybrid_best_depth", "array.default_over_dense8",
    "machine.steps_exact", "machine.utilisation.dense", "machine.psnr.vida_db", "machine.sim_cycles_per_second",
    "machine.model_error", "machine.model_error.operator", "coverage.line",
)
#: Names that it must hold as well where ASAP7's Liberty files are given.
MANDATORY_ASAP7 = ("area.paper.ccpe_um2.asap7", "area.dense8.ccpe_um2.asap7", "area.lane_um2.asap7",
                   "clock.peg_ps.asap7")


@dataclass(frozen=True)
class Result:
    """One figure. `kind` is measured, modelled or quoted; `source` says by what, of what.

    Raises ValueError for another kind, a value that is not finite, or an empty name or source.
    """

    name: str
    value: float
    unit: str
    kind: str
    source: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind is {self.kind!r}, must be one of {', '.join(KINDS)}")
        if not math.isfinite(self.value):
            raise ValueError(f"{self.name}: value is {self.value}, must be finite")
        if not (self.name and self.source):
            raise ValueError(f"result {self.name!r} of source {self.source!r}: both must be given")


@dataclass(frozen=True)
class Check:
    """Something that must hold; `detail` quotes what was found and what is asked for."""

    name: str
    passed: bool
    detail: str


@dataclass
class StepResult:
    """What one step of the main job gives: results, checks, and plain `data` for the report's pictures."""

    results: list[Result] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, kind: str, source: str) -> None:
        """Append a result."""
        self.results.append(Result(name, float(value), unit, kind, source))


def results_folder() -> Path:
    """Where every step's JSON and arrays lie."""
    return build_folder("results")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path`, whole or not at all; raises VidaError where the folder cannot be written."""
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise VidaError(f"cannot write {path}: {error.strerror}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A file of `write_json`; raises VidaError for a missing or broken file or one of another format."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise VidaError(f"cannot read {path}: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise VidaError(f"{path} has format {found}, only format {FORMAT} is read")
    return content


def write_step(path: Path, step: StepResult, inputs: str, seconds: float) -> None:
    """Write a step's outcome; `inputs` is the digest of what it was computed from."""
    write_json(path, {"format": FORMAT, "inputs": inputs, "seconds": seconds, **asdict(step)})


def read_step(path: Path) -> StepResult:
    """The outcome that `write_step` wrote."""
    content = read_json(path)
    return StepResult([Result(**item) for item in content["results"]],
                      [Check(**item) for item in content["checks"]], content["data"])


def value_of(results: Iterable[Result], name: str) -> float | None:
    """Value of the result `name`, None where there is none."""
    return next((result.value for result in results if result.name == name), None)


def write_summary(path: Path, results: Sequence[Result], checks: Sequence[Check], mandatory: Iterable[str]) -> None:
    """Write summary.json. Raises VidaError, nothing written, where a name occurs twice or a mandatory one lacks."""
    counts = Counter(result.name for result in results)
    every = (*counts.items(), *Counter(check.name for check in checks).items())
    twice = [name for name, count in every if count > 1]
    missing = [name for name in mandatory if name not in counts]
    if twice:
        raise VidaError(f"summary: more than one result or check of the name {', '.join(twice)}")
    if missing:
        raise VidaError(f"summary: no result of the name {', '.join(missing)}")
    write_json(path, {"format": FORMAT, "vida": VERSION, "checks": [asdict(check) for check in checks],
                      "results": [asdict(result) for result in results]})
