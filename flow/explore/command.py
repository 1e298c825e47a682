# SPDX-License-Identifier: Apache-2.0
"""What `vida explore` does: check everything, sweep, then write tables, Parquet and plots."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from flow.explore import best, plots, rtl, table
from flow.explore.cluster import Workers, read_options
from flow.explore.space import configurations, load_space
from flow.explore.sweep import Outcome, check, sweep
from hw.errors import VidaError
from hw.workspace import build_folder, check_writable
from verif.operators import REFERENCES

#: What the law's schedule may be off by, over all operators of a machine.
LIMIT = 0.01


def explore(name: str, pdk: str | Path | None, libraries: list[str], workers: int, cluster: str, options: Path | None,
            output: Path | None, console: Console) -> bool:
    """Explore a space; True where every point was found.

    libraries : instead of the space's where there are any
    workers : processes or jobs; 0: in this process, without dask
    output : folder of the results (default: build/explore/<space>-<digest>)
    Raises VidaError for wrong input before anything is written.
    """
    space = load_space(name)
    if libraries:
        space = space.model_copy(update={"libraries": libraries})
    machines = configurations(space)
    check(machines.machines, space, pdk)
    given = read_options(options)
    table.need_parquet()
    if output is not None:
        check_writable(output)
    console.print(f"{space.name}: {len(machines.machines)} machines, {len(machines.skipped)} combinations are none"
                  + (f" (first: {machines.skipped[0]})" if machines.skipped else ""))
    with Workers(workers, cluster, given) if workers else nullcontext() as crew:
        outcome = sweep(machines.machines, space, pdk, crew, console)
    folder = output or build_folder("explore") / f"{space.name}-{space.digest()}"
    if outcome.found:
        write(outcome, folder, console)
    for line in outcome.failed:
        console.print(f"[red]failed[/] {line}", soft_wrap=True)
    console.print(f"{outcome.kept} results were there already, {len(outcome.failed)} failed; {folder}", soft_wrap=True)
    return not outcome.failed


def check_schedule(name: str, console: Console) -> None:
    """Play every machine of a space in the Verilog and print its cycles over those of the law's schedule.

    Raises VidaError where results differ from the law, or a ratio is further than `LIMIT` from 1.
    """
    space = load_space(name)
    machines = configurations(space).machines
    references = [reference for reference in space.references if reference in REFERENCES]
    with console.status("") as status:
        found = rtl.ratios(machines, max(space.steps), references, status.update)
    console.print(rtl.ratios_table(found))
    for ratio in found:
        if ratio.mismatches or abs(ratio.total - 1) > LIMIT:
            raise VidaError(f"{ratio.variant} {ratio.label}: cycles of the Verilog / of the schedule "
                            f"{ratio.total:.4f}, must be within {LIMIT:.0%} of 1; {ratio.mismatches} results differ "
                            "from the law")


def write(outcome: Outcome, folder: Path, console: Console) -> None:
    """points.parquet, a Pareto plot for each library, and the tables, printed and as tables.txt."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidaError(f"cannot write to {folder}: {error.strerror}") from error
    table.write_parquet(folder / "points.parquet", outcome.found)
    setting = best.main_setting(outcome.found)
    with open(folder / "tables.txt", "w", encoding="utf-8") as stream:
        for library in dict.fromkeys(machine.library for machine in outcome.found):
            found = [machine for machine in outcome.found if machine.library == library]
            (folder / f"pareto-{library}.png").write_bytes(plots.pareto(found, library, setting))
            against = best.baseline(found, setting)
            shown = [table.machines_table(found, library, setting, against)]
            if against:
                shown.append(table.claims_table(found, library, setting, against))
            for printer in (console, Console(file=stream, width=200)):
                printer.print(*shown, sep="\n")
