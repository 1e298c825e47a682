# SPDX-License-Identifier: Apache-2.0
"""A sweep: every task that is not kept yet, on local processes or a cluster; a failing one leaves the others alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flow.explore.cluster import Workers, failure
from flow.explore.evaluate import Evaluated, check_store
from flow.explore.space import GATES, Configured, Space
from flow.explore.tasks import AreaTask, CyclesTask, Task
from synth import liberty
from verif.operators import load_list, operands


@dataclass
class Outcome:
    """What a sweep found; `failed`: a line for each task that gave nothing, `kept`: tasks that were done before."""

    found: list[Evaluated] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    kept: int = 0


def check(machines: Sequence[Configured], space: Space, pdk: str | Path | None) -> None:
    """Raise VidaError where a machine cannot hold the operands, or a library is not in the folder `pdk`."""
    for machine in machines:
        check_store(machine.config)
    for library in space.libraries:
        if library != GATES:
            liberty.find(library, pdk)


def tasks_of(machine: Configured, space: Space, pdk: str | Path | None) -> list[Task]:
    """All that must be known of one machine: cycles on every operand set, area on every library."""
    cycles = [CyclesTask(machine.config, steps, reference, space.sample)
              for steps in space.steps for reference in space.references]
    return [*cycles, *(AreaTask(machine.config, library, pdk) for library in space.libraries)]


def sweep(machines: Sequence[Configured], space: Space, pdk: str | Path | None, workers: Workers | None,
          console: Console) -> Outcome:
    """Complete every task of every machine; `workers` None: one after the other in this process."""
    outcome = Outcome()
    tasks = {task.digest(): task for machine in machines for task in tasks_of(machine, space, pdk)}
    results = {digest: kept for digest, task in tasks.items() if (kept := task.kept()) is not None}
    outcome.kept = len(results)
    waiting = [task for digest, task in tasks.items() if digest not in results]
    if any(isinstance(task, CyclesTask) for task in waiting):
        capture(space.steps, console)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=console) as shown:
        bar = shown.add_task(space.name, total=len(tasks), completed=len(results))
        with closing(_complete(waiting, workers)) as done:
            for task, result, error in done:
                shown.update(bar, advance=1, description=task.title)
                if error:
                    outcome.failed.append(f"{task.title}: {error}")
                else:
                    results[task.digest()] = result
    outcome.found = [found for machine in machines for found in joined(machine, space, pdk, results)]
    return outcome


def capture(lengths: Sequence[int], console: Console) -> None:
    """Capture the operands of sampling runs of these lengths once, before several processes ask for them."""
    for steps in lengths:
        with console.status(f"operands of {steps} steps"):
            operands(load_list().at_steps(steps))


def _complete(tasks: list[Task], workers: Workers | None) -> Iterator[tuple[Task, Any, str]]:
    """(task, outcome, error) in the order in which they end; the error is empty where there is an outcome."""
    if workers is not None:
        yield from workers.complete(tasks)
        return
    for task in tasks:
        try:
            done = task.complete(), ""
        except Exception as error:      # whatever it is, the other points are wanted
            done = None, failure(error)
        yield task, *done


def joined(machine: Configured, space: Space, pdk: str | Path | None, results: dict[str, Any]) -> Iterator[Evaluated]:
    """The machine on each library on which all is known of it."""
    tasks = tasks_of(machine, space, pdk)
    cycles = [task for task in tasks if isinstance(task, CyclesTask)]
    if any(task.digest() not in results for task in cycles):
        return
    rates = {(task.steps, task.reference, rate.operator): rate
             for task in cycles for rate in task.rates(results[task.digest()])}
    for task in tasks:
        if isinstance(task, AreaTask) and task.digest() in results:
            yield Evaluated(machine, task.library, task.silicon(results[task.digest()]), rates)
