# SPDX-License-Identifier: Apache-2.0
"""The array question: throughput for its area of every way of skipping, each at its best, on captured operands."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from flow.explore import plots
from flow.explore.best import OPERATORS, Baseline, Setting, baseline, settings
from flow.explore.evaluate import ALL, Evaluated
from flow.explore.space import GATES, configurations, load_space
from flow.explore.sweep import joined, tasks_of
from flow.explore.tasks import CyclesTask, Task
from flow.results import StepResult
from flow.steps import collect_rarely
from hw.config import MachineConfig
from hw.errors import VidaError
from synth.liberty import available

#: Ways of skipping that compete.
VARIANTS = ("none", "sparse", "threshold", "balance", "merge")
MAIN = Setting(50, "timestep")
_SPACE = "chosen"


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Evaluate the space `chosen` on ASAP7 where `pdk` has it, else in gate equivalents."""
    library = "asap7" if pdk and "asap7" in available(pdk) else GATES
    space = load_space(_SPACE).model_copy(update={"libraries": [library]})
    folder = str(pdk) if pdk else None
    machines = configurations(space).machines
    results = _complete([task for machine in machines for task in tasks_of(machine, space, folder)], progress)
    found = {machine.variant: next(joined(machine, space, folder, results)) for machine in machines}
    against = baseline(found.values(), MAIN)
    if against is None:
        raise VidaError(f"space {_SPACE} has no native machine")
    step = StepResult()
    silicon = "gate equivalents at equal clocks" if library == GATES else f"{library} area and clock by synthesis"
    basis = (f"{silicon}, cycles by the law's schedule on the operands of operators.toml, the lower of with and "
             "without right store")
    _add_variants(step, found, against, basis)
    _add_pairs(step, found, against, basis)
    if library != GATES:
        _add_lane(step, found["default"], library)
    step.data = {"lines": _lines(found, against), "operators": list(OPERATORS), "basis": basis,
                 "unit": "GE" if library == GATES else "um2",
                 "pareto": base64.b64encode(plots.pareto(list(found.values()), library, MAIN)).decode()}
    return step


def _complete(tasks: Sequence[Task], progress: Callable[[str], None]) -> dict[str, Any]:
    """Digest -> outcome. Those not kept from before are computed in two processes, areas first: they take longest."""
    missing = {task.digest(): task for task in tasks if task.kept() is None}
    jobs = _jobs(missing.values())
    with ProcessPoolExecutor(2, get_context("spawn"), collect_rarely) as pool:
        running = {pool.submit(_complete_all, job): job for job in jobs}
        for number, done in enumerate(as_completed(running), 1):
            done.result()
            progress(f"{number} of {len(running)}: {running[done][-1].title}")
    return {task.digest(): task.kept() for task in tasks}


def _jobs(tasks: Iterable[Task]) -> list[list[Task]]:
    """What runs in one process: an area; a machine's cycles on all operands of a length (`best` needs two others)."""
    areas, cycles = [], dict[tuple[MachineConfig, int], list[Task]]()
    for task in tasks:
        if isinstance(task, CyclesTask):
            cycles.setdefault((task.config, task.steps), []).append(task)
        else:
            areas.append([task])
    return [*areas, *cycles.values()]


def _complete_all(tasks: Iterable[Task]) -> None:
    for task in tasks:
        task.complete()


def _add_variants(step: StepResult, found: Mapping[str, Evaluated], against: Baseline, basis: str) -> None:
    """`array.<variant>.throughput_per_area`, by `MAIN`; the others with reference and steps behind the name."""
    for variant in VARIANTS:
        for place in settings(found.values()):
            end = "" if place == MAIN else f".{place.reference}_{place.steps}"
            step.add(f"array.{variant}.throughput_per_area{end}", against.claim(found[variant], place), "1", "modelled",
                     f"relative to dense8, each at its best depth, {place}; {basis}")


def _add_pairs(step: StepResult, found: Mapping[str, Evaluated], against: Baseline, basis: str) -> None:
    """Hybrid against each lane alone in the paper's shape, and the default against the hybrid and the baseline."""
    pairs = {"hybrid_over_dense": ("paper_hybrid", "paper_none", "the paper's shape, best static thresholds"),
             "hybrid_over_sparse": ("paper_hybrid", "paper_sparse", "the paper's shape, best static thresholds"),
             "default_over_hybrid": ("default", "paper_hybrid", "default against the paper's shape"),
             "default_over_hybrid_best_depth": ("default", "threshold", "default against the hybrid at its best depth")}
    for place in settings(found.values()):
        end = "" if place == MAIN else f".{place.reference}_{place.steps}"
        for name, (own, rival, words) in pairs.items():
            step.add(f"array.{name}{end}", found[own].gain(found[rival], place.steps, place.reference), "1", "modelled",
                     f"{words}, {place}; {basis}")
        step.add(f"array.default_over_dense8{end}", against.claim(found["default"], place), "1", "modelled",
                 f"default against dense8 at its best depth, {place}; {basis}")


def _add_lane(step: StepResult, default: Evaluated, library: str) -> None:
    config = default.configured.config
    step.add(f"area.lane_um2.{library}", default.silicon.logic / config.multipliers, "um2", "measured",
             f"group of default without right store / {config.multipliers} multipliers of 4x8, Yosys and ABC, no wires")
    step.add(f"clock.peg_ps.{library}", default.silicon.path_ps, "ps", "measured",
             "longest path of a group of default after buffering and sizing, no wires")


def _lines(found: Mapping[str, Evaluated], against: Baseline) -> list[dict[str, Any]]:
    """A line for each machine: what it is, and its claims by operator (`MAIN`) and by setting (all operators)."""
    lines = []
    for variant, machine in found.items():
        config, rate = machine.configured.config, machine.rates[MAIN.steps, MAIN.reference, ALL]
        shape = [f"depth {config.depth}", config.drain.value]
        multipliers = config.multipliers + config.sparse_multipliers
        lines.append({
            "variant": variant, "shape": ", ".join(shape), "logic": machine.silicon.logic,
            "store": machine.silicon.store, "path_ps": machine.silicon.path_ps, "macs": 1 / rate.cycles_per_mac,
            "digit_use": rate.digits_per_mac / (rate.cycles_per_mac * multipliers),
            "claims": {operator: against.claim(machine, MAIN, operator) for operator in OPERATORS},
            "settings": {str(place): against.claim(machine, place) for place in settings(found.values())}})
    return lines
