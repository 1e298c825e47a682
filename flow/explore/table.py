# SPDX-License-Identifier: Apache-2.0
"""What a sweep says: tables for the terminal, and every figure as Parquet."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from flow.explore.best import OPERATORS, Baseline, Setting, best, settings
from flow.explore.evaluate import ALL, Evaluated, rows
from flow.explore.extra import INSTALL
from flow.explore.space import GATES
from hw.errors import VidaError


def unit(library: str) -> str:
    """Of throughput for area."""
    return "MAC/cycle/kGE" if library == GATES else "TMAC/s/mm2"


def machines_table(found: Sequence[Evaluated], library: str, setting: Setting, against: Baseline | None) -> Table:
    """The best machine of every variant: what it is, how large, how fast.

    The last column is the speed-up over the best native machine; without one, the throughput for the area.
    """
    area = "GE" if library == GATES else "um2"
    table = Table(title=f"Best of each variant, {library}, {setting}; area, path measured, store, cycles modelled",
                  title_justify="left")
    last = "equal area" if against else unit(library)
    for heading in ("variant", "configuration", f"group\n{area}", f"store\n{area}", "path\nps", "MAC/\ncycle",
                    "digits\nused", f"{last}\nwith/\nwithout"):
        table.add_column(heading, justify="left" if heading in ("variant", "configuration") else "right")
    for variant, machine in best(found, setting, against).items():
        silicon, rate = machine.silicon, machine.rates[setting.steps, setting.reference, ALL]
        config = machine.configured.config
        use = rate.digits_per_mac / (rate.cycles_per_mac * (config.multipliers + config.sparse_multipliers))
        values = against.claims(machine, setting) if against else {
            store: machine.throughput(setting.steps, setting.reference, ALL, store) for store in (True, False)}
        table.add_row(variant, machine.configured.label, f"{silicon.logic:,.0f}", _number(silicon.store, ",.0f"),
                      _number(silicon.path_ps, ".0f"), f"{1 / rate.cycles_per_mac:.0f}", f"{use:.0%}" if use else "",
                      "/".join(_number(values.get(store), ".2f") for store in (True, False)))
    return table


def claims_table(found: Sequence[Evaluated], library: str, setting: Setting, against: Baseline) -> Table:
    """Every variant's best machine over the baseline at equal area, for each operator, reference and step count."""
    title = f"Speed-up over the best native machine at equal area, {library}; the lower of with and without store"
    table = Table(title=title, title_justify="left")
    for heading in ("reference\nsteps", "variant", *OPERATORS):
        table.add_column(heading, justify="left" if heading in ("reference\nsteps", "variant") else "right")
    chosen = best(found, setting, against)
    for n, place in enumerate(settings(found)):
        if n:
            table.add_section()
        for variant, machine in chosen.items():
            values = [against.claim(machine, place, operator) for operator in OPERATORS]
            table.add_row(f"{place.reference} {place.steps}", variant, *(f"{value:.2f}" for value in values))
    return table


def need_parquet() -> None:
    """Raise VidaError where pyarrow is missing."""
    if importlib.util.find_spec("pyarrow") is None:
        raise VidaError(f"pyarrow is not installed: {INSTALL}")


def write_parquet(path: Path, found: Sequence[Evaluated]) -> None:
    """Every figure of every machine, a row as `flow.explore.evaluate.rows` makes it."""
    import pyarrow
    from pyarrow import parquet
    partial = path.with_suffix(".part")
    parquet.write_table(pyarrow.Table.from_pylist(rows(found)), partial)
    partial.replace(path)


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)
