# SPDX-License-Identifier: Apache-2.0
"""The report: summary.json, one self-contained page, and the table on the terminal, from the steps' results."""

from __future__ import annotations

import os
from pathlib import Path

import jinja2
from rich.console import Console
from rich.table import Table

from flow.collected import Collected, collect
from flow.figures import draw
from flow.results import MANDATORY, MANDATORY_ASAP7, results_folder, write_summary
from flow.tables import Tables
from hw.errors import VidaError
from hw.version import VERSION
from hw.workspace import build_folder

#: Main results beside the speed-ups.
HEADLINES = (
    "rtl.vectors", "rtl.mismatches", "quality.int8.psnr_db", "quality.vida.psnr_db", "rival.vida.same_array.steps",
    "rival.vida.same_array.psnr_db", "dense.utilisation.shadow", "dense.utilisation.inplace", "issue.schedule_ratio",
    "issue.schedule_over_bound", "issue.digit_efficiency", "area.paper.dpu_share", "area.paper.spu_share",
    "area.paper.ccpe_um2.asap7", "area.dense8.ccpe_um2.asap7", "sim.cycles_per_second", "generate.paper.seconds",
    "machine.steps_exact", "machine.utilisation.dense", "machine.psnr.vida_db", "machine.model_error",
    "machine.sim_cycles_per_second", "machine.small.utilisation.dense", "machine.speedup.original.bw64",
    "machine.speedup.ditto.bw64", "machine.speedup.vida.bw64", "machine.speedup.ditto.bw8",
    "array.default_over_dense8", "array.default_over_hybrid", "array.default_over_hybrid_best_depth",
    "array.hybrid_over_dense", "array.hybrid_over_sparse", "area.lane_um2.asap7", "clock.peg_ps.asap7",
)


def write(console: Console | None = None) -> Path:
    """Write build/report/summary.json and index.html, print the table; returns the path of the page.

    Raises VidaError where a step's result is missing, a mandatory figure lacks or a name occurs twice.
    """
    console = console or Console()
    collected = collect()
    folder = build_folder("report")
    asap7 = "asap7" in collected.data["synthesise"]["libraries"]
    write_summary(folder / "summary.json", collected.results, collected.checks,
                  MANDATORY + (MANDATORY_ASAP7 if asap7 else ()))
    page = folder / "index.html"
    _write_text(page, render(collected))
    console.print(results_table(collected), speedups_table(collected), sep="\n")
    failed = [check for check in collected.checks if not check.passed]
    for check in failed:
        console.print(f"[red]check failed[/] {check.name}: {check.detail}")
    console.print(f"{len(collected.checks) - len(failed)} of {len(collected.checks)} checks passed; report: {page}",
                  soft_wrap=True)
    return page


def render(collected: Collected) -> str:
    """The page: no file and no address outside it is needed to read it."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("flow"), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["figure"] = format_value
    pictures = draw(collected, results_folder())
    return environment.get_template("report.html.j2").render(
        version=VERSION, collected=collected, pictures=pictures, tables=Tables(collected),
        headlines=[result for name in HEADLINES for result in collected.results if result.name == name])


def format_value(value: float, unit: str = "1") -> str:
    """A figure as people read it: thousands grouped, four places at most, shares and ratios with three."""
    if value == int(value) and unit != "1":
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def speedups_table(collected: Collected) -> Table:
    """Every speed-up with its three figures and what it costs, for the terminal."""
    kind, steps = collected.data["synthesise"]["kind"], collected.data["quality"]["steps"]
    table = Table(title=f"Speed-ups ({kind}), {steps} steps; PSNR measured, traffic modelled", title_justify="left")
    headings = ("method", "policy", "equal area\n(claim)", "against\nskipping", "against\ndense mode",
                "PSNR to int8\ndense, dB", "DRAM bytes\n/ original")
    for n, heading in enumerate(headings):
        table.add_column(heading, justify="left" if n < 2 else "right")
    for line in Tables(collected).speedups:
        values = [*line.figures.values(), line.psnr, line.traffic]
        texts = ["none" if value is None else format_value(value) for value in values]
        if line.exact:
            texts[-2] = "exact"
        table.add_row(line.method, line.policy, *texts)
    return table


def results_table(collected: Collected) -> Table:
    """The main results, each with its kind, for the terminal."""
    table = Table(title=f"vida {VERSION}", title_justify="left")
    for column, justify in (("result", "left"), ("value", "right"), ("unit", "left"), ("kind", "left")):
        table.add_column(column, justify=justify)
    for name in HEADLINES:
        for result in collected.results:
            if result.name == name:
                unit = "" if result.unit == "1" else result.unit
                table.add_row(result.name, format_value(result.value, result.unit), unit, result.kind)
    return table


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise VidaError(f"cannot write {path}: {error.strerror}") from error
