# SPDX-License-Identifier: Apache-2.0
"""What `vida simulate` and `vida regress` print: every cocotb bench with what its runs covered; the long regression."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hw.config import MachineConfig
from verif.regress import regress
from verif.run import Outcome, plan, run_one
from verif.soak import Soaked, soak


def run_benches(config: MachineConfig | None, names: Sequence[str], seed: int, console: Console) -> bool:
    """Run what `verif.run.plan` names, print a line each; whether all passed.

    Raises VidaError, before anything runs, for an unknown bench or one whose block `config` does not have.
    """
    outcomes = []
    for name, machine in plan(names, config):
        with console.status(f"bench {name} on {machine.name} {machine.digest()[:8]}"):
            outcomes.append(run_one(name, machine, seed=seed))
    console.print(_table(outcomes))
    for outcome in outcomes:
        for case in outcome.result.cases:
            if not case.passed:
                console.print(f"[red]failed[/] {outcome.bench} {case.name}: {case.message}", soft_wrap=True)
                console.print(f"  log {outcome.result.log}, waves {outcome.result.waves}", soft_wrap=True)
    return all(outcome.passed for outcome in outcomes)


def _table(outcomes: list[Outcome]) -> Table:
    table = Table("bench", "machine", "tests", "compared", "mismatches", "cover points", "lines", "s",
                  box=None, pad_edge=False)
    for outcome in outcomes:
        cases, config = outcome.result.cases, outcome.config
        table.add_row(
            outcome.bench, f"{config.name} depth {config.depth} {config.allocation.value} {config.drain.value}",
            f"{sum(case.passed for case in cases)} of {len(cases)} passed",
            f"{outcome.compared:,}", str(outcome.mismatches),
            f"{sum(map(bool, outcome.cover.values()))} of {len(outcome.cover)}",
            f"{sum(item.hit for item in outcome.lines)} of {sum(item.total for item in outcome.lines)}",
            f"{sum(case.seconds for case in cases):.1f}")
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


def run_soak(seed: int, cycles: int, console: Console) -> bool:
    """Random programs on whole machines, a line for each; returns whether all ended, as the law says."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("soak", total=cycles)
        done: dict[str, int] = {}

        def show(soaked: Soaked) -> None:
            done[soaked.name] = soaked.cycles
            progress.update(task, completed=sum(done.values()), description=f"soak {soaked.name}")

        found = soak(seed, cycles, progress=show)
    table = Table("machine", "programs", "instructions", "cycles", "faults reported", "bytes compared", box=None,
                  pad_edge=False)
    for one in found:
        table.add_row(one.name, *(f"{n:,}" for n in (one.programs, one.instructions, one.cycles, one.faults,
                                                     one.compared)))
    console.print(table)
    console.print(f"{sum(one.cycles for one in found):,} cycles of random programs, seed {seed}")
    for one in found:
        if not one.passed:
            console.print(f"[red]failed[/] {one.first}", soft_wrap=True)
    return all(one.passed for one in found)
