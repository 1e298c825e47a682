# SPDX-License-Identifier: Apache-2.0
"""One configuration: its cycles on captured operands, its area and clock, and the throughput for its area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from flow.explore.space import BEST, GATES, Configured
from hw.config import TILE, Allocation, Lane, MachineConfig
from hw.errors import VidaError
from model.networks import preset
from synth.group import Synthesiser
from verif.cycles import predicted
from verif.measure import best_threshold
from verif.operators import Operands, Operator, load_list, operands, shares

#: Policies that a static threshold per operator kind steers.
THRESHOLDED = (Allocation.THRESHOLD, Allocation.BALANCE)
#: The network's operators together, each weighed by its share of the multiply-accumulates.
ALL = "all"
KINDS = ("qkv", "scores", "values", "out", "fc1", "fc2")


@dataclass(frozen=True)
class Rate:
    """Cycles of a group for each multiply-accumulate of operators of one kind, or of the network (`operator` = all).

    digits_per_mac : multiplications by a non-zero digit, padded columns included (native machines: 0)
    threshold : the best static one (None: the policy has none, or several for what the rate covers)
    """

    operator: str
    cycles_per_mac: float
    digits_per_mac: float
    threshold: int | None = None


@dataclass(frozen=True)
class Silicon:
    """A group in um2 (or gate equivalents): without right store, the store (None: no memory model), and its path."""

    logic: float
    store: float | None
    path_ps: float | None

    def area(self, store: bool) -> float | None:
        """Area with or without the right store."""
        return self.logic if not store else None if self.store is None else self.logic + self.store


@dataclass(frozen=True)
class Evaluated:
    """A machine with all that was found out about it; `rates`: (steps, reference, operator) -> its rate."""

    configured: Configured
    library: str
    silicon: Silicon
    rates: Mapping[tuple[int, str, str], Rate]

    def throughput(self, steps: int, reference: str, operator: str = ALL, store: bool = False) -> float | None:
        """For its area: TMAC/s/mm2 at its own clock; with gate equivalents MACs a cycle and 1000 of them."""
        area, path = self.silicon.area(store), self.silicon.path_ps
        if area is None:
            return None
        clock = 1000.0 if path is None else 1e6 / path
        return clock / (self.rates[steps, reference, operator].cycles_per_mac * area)

    def gain(self, rival: Evaluated, steps: int, reference: str, operator: str = ALL) -> float:
        """Speed-up over `rival` at equal area: the lower of with and without the right store."""
        return min(self.gains(rival, steps, reference, operator).values())

    def gains(self, rival: Evaluated, steps: int, reference: str, operator: str = ALL) -> dict[bool, float]:
        """The same with the store (True, where its area is known) and without (False)."""
        found = {}
        for store in (False, True):
            own, other = (x.throughput(steps, reference, operator, store) for x in (self, rival))
            if own is not None and other is not None:
                found[store] = own / other
        return found


@lru_cache(maxsize=64)
def operand_set(steps: int, reference: str, sample: int) -> dict[Operator, Operands]:
    """Operator -> operands at `steps` steps; whole ones where a reference does not apply (temporal attention)."""
    work = operands(load_list().at_steps(steps))
    chosen = {operator: work.get((operator, reference)) or work[operator, "none"] for operator, _ in work}
    return {operator: part.sampled(sample) for operator, part in chosen.items()}


def check_store(config: MachineConfig) -> None:
    """Raise VidaError where a slot of the right store cannot hold the K of every operator."""
    longest = 4 * preset(load_list().network).dim      # of fc2
    if config.right_rows < longest:
        raise VidaError(f"{config.name}: right_rows is {config.right_rows}, must be at least {longest}, the longest K "
                        "of the operands")


def rates(config: MachineConfig, steps: int, reference: str, sample: int) -> list[Rate]:
    """One for each operator kind, with its best threshold where the policy has one, and one for all.

    A native machine multiplies whole operands, whatever the reference. The reference `best` is for each operator the
    one of none and timestep, both exact, that takes fewer cycles (Ditto's Defo, from measured cycles).
    """
    asked = ("none",) if config.lane is Lane.NATIVE else ("none", "timestep") if reference == BEST else (reference,)
    found = [operator_rates(config, steps, name, sample) for name in asked]
    fastest = {operator: min((part[operator] for part in found), key=lambda rate: rate.cycles_per_mac)
               for operator in found[0]}
    chosen = load_list()
    share = shares(chosen, preset(chosen.network))
    return [_mean(kind, {operator: rate for operator, rate in fastest.items() if kind in (operator.kind, ALL)}, share)
            for kind in (*KINDS, ALL)]


def _mean(name: str, parts: Mapping[Operator, Rate], share: Mapping[Operator, float]) -> Rate:
    weight = sum(share[operator] for operator in parts)
    cycles, digits = (sum(share[operator] * getattr(rate, figure) for operator, rate in parts.items()) / weight
                      for figure in ("cycles_per_mac", "digits_per_mac"))
    thresholds = {rate.threshold for rate in parts.values()}
    return Rate(name, cycles, digits, thresholds.pop() if len(thresholds) == 1 else None)


@lru_cache(maxsize=64)
def operator_rates(config: MachineConfig, steps: int, reference: str, sample: int) -> dict[Operator, Rate]:
    """The rate of each operator of the list, with the best threshold of its kind."""
    work, result = operand_set(steps, reference, sample), {}
    chosen = load_list()
    share = shares(chosen, preset(chosen.network))
    for kind in KINDS:
        alike = {operator: part for operator, part in work.items() if operator.kind == kind}
        weighed = [(part, share[operator]) for operator, part in alike.items()]
        # Searched on a quarter of the operands at most, as a compiler would on a calibration run.
        threshold = best_threshold(weighed, config, max(1, 4 // sample)) if config.allocation in THRESHOLDED else None
        for operator, part in alike.items():
            found = predicted(part.products(TILE if threshold is None else threshold), config)
            digits = found.digits * config.columns
            result[operator] = Rate(kind, found.cycles / part.macs, digits / part.macs, threshold)
    return result


def silicon(config: MachineConfig, synthesiser: Synthesiser) -> Silicon:
    """Area and longest path of a whole group."""
    group = synthesiser.group(config, inside=False)
    return Silicon(group.logic, group.store, group.path_ps)


def rows(found: Sequence[Evaluated]) -> list[dict[str, Any]]:
    """One flat row for each machine, library, length of the run, reference and operator: what Parquet holds."""
    result = []
    for machine in found:
        config, area = machine.configured.config, machine.silicon
        about = {"variant": machine.configured.variant, "label": machine.configured.label, "digest": config.digest(),
                 **config.model_dump(mode="json", exclude={"format", "name"}), "library": machine.library,
                 "area_unit": "GE" if machine.library == GATES else "um2", **asdict(area)}
        multipliers = config.multipliers + config.sparse_multipliers
        for (steps, reference, operator), rate in machine.rates.items():
            result.append(about | {
                "steps": steps, "reference": reference, **asdict(rate),
                "digit_use": rate.digits_per_mac / (rate.cycles_per_mac * multipliers),
                "throughput": machine.throughput(steps, reference, operator),
                "throughput_with_store": machine.throughput(steps, reference, operator, True)})
    return result
