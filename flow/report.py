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

#: Results of the terminal's table.
HEADLINES = (
    "rtl.vectors", "rtl.mismatches", "speedup.ditto.vs_dense8_equal_area", "speedup.ditto.vs_dense8_equal_area.balance",
    "speedup.vida.vs_dense8_equal_area", "speedup.vida.vs_dense8_equal_area.balance", "quality.vida.psnr_db",
    "quality.int8.psnr_db", "rival.vida.steps", "rival.vida.psnr_db", "traffic.ditto.vs_original",
    "traffic.vida.vs_original", "dense.utilisation.shadow", "dense.utilisation.inplace", "issue.schedule_ratio",
    "issue.schedule_over_bound", "issue.digit_efficiency", "area.paper.dpu_share", "area.paper.spu_share",
    "area.paper.ccpe_um2.asap7", "area.dense8.ccpe_um2.asap7", "sim.cycles_per_second", "generate.paper.seconds",
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
    console.print(terminal_table(collected))
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


def terminal_table(collected: Collected) -> Table:
    """The main results, each with its kind."""
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
