# SPDX-License-Identifier: Apache-2.0
"""Two configurations held against each other at equal area."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from flow.explore.best import OPERATORS
from flow.explore.evaluate import Evaluated
from flow.explore.space import BEST, GATES, Configured, Space, make_space
from flow.explore.sweep import check, sweep
from hw.config import load_config
from hw.errors import VidaError
from synth.liberty import available
from verif.operators import REFERENCES


def compare(first: str, second: str, library: str | None, pdk: str | Path | None, steps: list[int], sample: int,
            console: Console) -> None:
    """Evaluate both (presets, or TOML files) and print the speed-up of `first` over `second`.

    library : None takes ASAP7 where its files are found, else gate equivalents
    Raises VidaError for wrong input before anything runs, and where one of both cannot be evaluated.
    """
    configs = load_config(first), load_config(second)
    fields = {"name": "compare", "base": first, "libraries": [library or GATES], "references": [*REFERENCES, BEST],
              "steps": steps, "sample": sample}
    space = make_space(fields, "of the options")
    pair = [Configured(name, config.name, config) for name, config in zip((first, second), configs, strict=True)]
    check(pair, space, pdk)
    if library is None and "asap7" in available(pdk):
        space = space.model_copy(update={"libraries": ["asap7"]})
    outcome = sweep(pair, space, pdk, None, console)
    if outcome.failed:
        raise VidaError("; ".join(outcome.failed))
    console.print(gains_table(*outcome.found, first, second, space))


def gains_table(own: Evaluated, rival: Evaluated, first: str, second: str, space: Space) -> Table:
    """Speed-up = (cycles of the rival / own) x (area of the rival / own) x (clock own / rival), by operator."""
    areas = " and ".join(f"{machine.silicon.logic:,.0f} + {_store(machine)}" for machine in (own, rival))
    table = Table(title=f"{first} over {second} at equal area, {own.library} (area {areas}); the claim is the lower of "
                        "with and without right store", title_justify="left")
    for heading in ("reference\nsteps", "", *OPERATORS):
        table.add_column(heading, justify="left" if heading in ("reference\nsteps", "") else "right")
    for steps in space.steps:
        for reference in space.references:
            gains = [own.gains(rival, steps, reference, operator) for operator in OPERATORS]
            lines = {"claim": [min(gain.values()) for gain in gains], "without": [gain[False] for gain in gains]}
            if all(True in gain for gain in gains):
                lines["with store"] = [gain[True] for gain in gains]
            for name, values in lines.items():
                table.add_row(f"{reference} {steps}" if name == "claim" else "", name,
                              *(f"{value:.2f}" for value in values))
            table.add_section()
    return table


def _store(machine: Evaluated) -> str:
    store = machine.silicon.store
    return "store without a model" if store is None else f"store {store:,.0f}"
