# SPDX-License-Identifier: Apache-2.0
"""The law's schedule against the Verilog, for every machine of a space, on the sampled operands.

All CCPEs of a group work in step, so that a group of one CCPE takes the cycles of the whole one; operands are cut to
its four columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from flow.explore.evaluate import THRESHOLDED, operand_set
from flow.explore.space import Configured
from hw.config import TILE, Lane, MachineConfig
from verif.cycles import predicted
from verif.measure import Players
from verif.operators import Operands
from verif.stimulus import stimulus

#: Threshold of policies that have one; any would do.
_THRESHOLD = 2


@dataclass(frozen=True)
class Ratio:
    """Cycles of the Verilog / of the schedule: sum over operators and references, and the operator furthest from 1.

    results, mismatches : compared with the law's values
    """

    variant: str
    label: str
    total: float
    worst: float
    where: str
    results: int
    mismatches: int


def ratios(machines: Iterable[Configured], steps: int, references: Sequence[str],
           progress: Callable[[str], None] = lambda text: None) -> list[Ratio]:
    """One for each machine that differs in more than its number of CCPEs; builds and plays its Verilog."""
    players, done = Players(), {}
    for machine in machines:
        config = machine.config.replace(ccpes=1, name="narrow")
        if config.digest() not in done:
            progress(f"Verilog of {machine.variant} {machine.label}")
            done[config.digest()] = _ratio(machine, config, players, steps, references)
    return list(done.values())


def _ratio(machine: Configured, config: MachineConfig, players: Players, steps: int,
           references: Sequence[str]) -> Ratio:
    rtl = law = compared = wrong = 0
    worst, where = 1.0, ""
    for reference in ("none",) if config.lane is Lane.NATIVE else references:
        for operator, part in operand_set(steps, reference, 4).items():
            products = narrowed(part).products(_THRESHOLD if config.allocation in THRESHOLDED else TILE)
            work = stimulus(products, config)
            played = players.run(config, work)
            values, differing = work.mismatches(played.accumulators["value"], played.int8["value"])
            expected = predicted(products, config).cycles
            rtl, law = rtl + played.cycles, law + expected
            compared, wrong = compared + values, wrong + differing
            if abs(played.cycles / expected - 1) > abs(worst - 1):
                worst, where = played.cycles / expected, f"{operator.label}, {reference}"
    return Ratio(machine.variant, machine.label, rtl / law, worst, where, compared, wrong)


def narrowed(part: Operands) -> Operands:
    """The same operands against the first four columns of their right ones."""
    names = ("right", "init", "result")
    return replace(part, entries=tuple(
        replace(entry, **{name: getattr(entry, name)[:, :TILE] for name in names}) for entry in part.entries))


def ratios_table(found: Sequence[Ratio]) -> Table:
    """Every machine's ratio, measured."""
    table = Table(title="Cycles of the Verilog / of the law's schedule, sampled, measured", title_justify="left")
    for heading in ("variant", "configuration", "ratio", "worst", "of", "results", "wrong"):
        table.add_column(heading, justify="left" if heading in ("variant", "configuration", "of") else "right")
    for ratio in found:
        table.add_row(ratio.variant, ratio.label, f"{ratio.total:.4f}", f"{ratio.worst:.4f}", ratio.where,
                      f"{ratio.results:,}", str(ratio.mismatches))
    return table
