# SPDX-License-Identifier: Apache-2.0
"""The best machine of each variant, and how much faster it is than the best native one at equal area."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flow.explore.evaluate import ALL, KINDS, Evaluated
from hw.config import Lane

#: The variant against which all are held.
BASELINE = "dense8"
#: Operator kinds and all together, in the order of the tables.
OPERATORS = (*KINDS, ALL)


@dataclass(frozen=True)
class Setting:
    """Length of the sampling run and reference; the machines are chosen for one of them."""

    steps: int
    reference: str

    def __str__(self) -> str:
        return f"{self.reference}, {self.steps} steps"


@dataclass(frozen=True)
class Baseline:
    """The native machine with the most throughput for its area: without (False), with the right store (True)."""

    machines: dict[bool, Evaluated]

    def claims(self, machine: Evaluated, setting: Setting, operator: str = ALL) -> dict[bool, float]:
        """Speed-up of `machine` at equal area, by whether the right store is counted."""
        return {store: machine.gains(rival, setting.steps, setting.reference, operator)[store]
                for store, rival in self.machines.items()}

    def claim(self, machine: Evaluated, setting: Setting, operator: str = ALL) -> float:
        """The lower of both."""
        return min(self.claims(machine, setting, operator).values())


def settings(found: Iterable[Evaluated]) -> list[Setting]:
    """All that the machines were evaluated at, in order."""
    return list(dict.fromkeys(Setting(steps, reference) for machine in found for steps, reference, _ in machine.rates))


def main_setting(found: Sequence[Evaluated]) -> Setting:
    """The one by which machines are chosen: timestep differences and the most steps, where they are there."""
    return max(settings(found), key=lambda setting: (setting.reference == "timestep", setting.steps))


def baseline(found: Iterable[Evaluated], setting: Setting) -> Baseline | None:
    """The best native machine, chosen for each of the two areas alone; None where there is none."""
    native = [machine for machine in found if machine.configured.config.lane is Lane.NATIVE]
    chosen = {}
    for store in (False, True):
        known = [(value, n) for n, machine in enumerate(native)
                 if (value := machine.throughput(setting.steps, setting.reference, ALL, store)) is not None]
        if known:
            chosen[store] = native[max(known)[1]]
    return Baseline(chosen) if chosen else None


def best(found: Iterable[Evaluated], setting: Setting, against: Baseline | None) -> dict[str, Evaluated]:
    """Variant -> its machine with the highest claim (without a baseline: the most throughput without store)."""

    def merit(machine: Evaluated) -> float:
        if against is None:
            return machine.throughput(setting.steps, setting.reference) or 0.0
        return against.claim(machine, setting)

    chosen: dict[str, Evaluated] = {}
    for machine in found:
        rival = chosen.get(machine.configured.variant)
        if rival is None or merit(machine) > merit(rival):
            chosen[machine.configured.variant] = machine
    return chosen
