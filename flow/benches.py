# SPDX-License-Identifier: Apache-2.0
"""Every cocotb bench on one configuration with what its runs covered; the long regression."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import verif
from hw.config import Lane, MachineConfig
from hw.errors import VidaError
from hw.workspace import build_folder
from verif.coverage import line_coverage
from verif.regress import regress
from verif.simulator import BenchResult

#: Blocks that a native machine does not have.
_DIGITS_ONLY = ("allocation", "encoder")


@dataclass(frozen=True)
class BenchOutcome:
    """One bench: its result, and executed and all lines of the Verilog below its top."""

    name: str
    result: BenchResult
    lines_hit: int
    lines: int


def bench_names() -> list[str]:
    """Names of the benches: the files `verif/bench_NAME.py`."""
    return sorted(file.stem.removeprefix("bench_") for file in Path(verif.__file__).parent.glob("bench_*.py"))


def run_benches(config: MachineConfig, names: list[str], seed: int, console: Console) -> bool:
    """Run the benches `names` (where empty: of all blocks that `config` has), print a line each; whether all passed.

    Raises VidaError for an unknown name.
    """
    unknown = [name for name in names if name not in bench_names()]
    if unknown:
        raise VidaError(f"unknown bench {unknown[0]!r}: known are {', '.join(bench_names())}")
    outcomes = []
    present = [name for name in bench_names() if config.lane is Lane.DIGIT or name not in _DIGITS_ONLY]
    for name in names or present:
        with console.status(f"bench {name} on {config.name}"):
            outcomes.append(_run(name, config, seed))
    console.print(_table(outcomes))
    for outcome in outcomes:
        for case in outcome.result.cases:
            if not case.passed:
                console.print(f"[red]failed[/] {outcome.name} {case.name}: {case.message}", soft_wrap=True)
                console.print(f"  log {outcome.result.log}, waves {outcome.result.waves}", soft_wrap=True)
    return all(outcome.result.passed for outcome in outcomes)


def _run(name: str, config: MachineConfig, seed: int) -> BenchOutcome:
    module = importlib.import_module(f"verif.bench_{name}")
    # A bench of a block that no configuration changes takes none.
    taken = {"config": config} if "config" in inspect.signature(module.run).parameters else {}
    result = module.run(build_folder("benches", config.name) / name, seed=seed, coverage=True, **taken)
    covered = line_coverage([result.coverage] if result.coverage else [])
    return BenchOutcome(name, result, sum(item.hit for item in covered), sum(item.total for item in covered))


def _table(outcomes: list[BenchOutcome]) -> Table:
    table = Table("bench", "tests", "compared", "mismatches", "cover points", "lines", "s", box=None, pad_edge=False)
    for outcome in outcomes:
        report = outcome.result.report
        points = report.get("cover", {})
        checks = report.get("checks", {}).values()
        passed = sum(case.passed for case in outcome.result.cases)
        table.add_row(
            outcome.name, f"{passed} of {len(outcome.result.cases)} passed",
            f"{sum(check['compared'] for check in checks):,}",
            str(sum(check["mismatches"] for check in checks)), f"{sum(map(bool, points.values()))} of {len(points)}",
            f"{outcome.lines_hit} of {outcome.lines}", f"{sum(case.seconds for case in outcome.result.cases):.1f}")
    return table


def run_regression(seed: int, outputs: int, console: Console) -> bool:
    """Play random jobs on machines that are no presets, print a line for each; returns whether all equal the law."""
    outcomes = regress(seed, outputs)
    table = Table("configuration", "tiles", "outputs", "mismatches", "cycles", box=None, pad_edge=False)
    for outcome in outcomes:
        table.add_row(outcome.name, f"{outcome.tiles:,}", f"{outcome.outputs:,}", str(outcome.mismatches),
                      f"{outcome.cycles:,}")
    console.print(table)
    console.print(f"{sum(outcome.outputs for outcome in outcomes):,} outputs compared, seed {seed}")
    for outcome in outcomes:
        if not outcome.passed:
            console.print(f"[red]failed[/] {outcome.name}: {outcome.first}", soft_wrap=True)
    return all(outcome.passed for outcome in outcomes)
