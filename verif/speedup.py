# SPDX-License-Identifier: Apache-2.0
"""Speed-ups from measured cycles: each method's mix of references, weighed by the operators' shares of the work.

`ditto` multiplies whole operands in the first step and timestep differences in all others. `vida` multiplies
whole operands in the first frame, in attention at every refresh and in temporal attention, else frame differences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from model.networks import NetworkConfig
from verif.measure import DEPTHS, Figure, Run
from verif.operators import ATTENTION, Operator, OperatorList

METHODS = ("original", "ditto", "vida")


@dataclass(frozen=True)
class Silicon:
    """A machine's PEG with all that counts, in um2 with and without the right store, and its clock in MHz."""

    with_store: float
    without_store: float
    clock: float


def mix(method: str, operator: Operator, steps: int, network: NetworkConfig,
        refresh: int) -> dict[str, float]:
    """Share of an operator's executions that use each reference.

    Raises ValueError for a method that is not one of `METHODS`.
    """
    if method == "original":
        return {"none": 1.0}
    if method == "ditto":
        return {"none": 1 / steps, "timestep": 1 - 1 / steps}
    if method == "vida":
        if operator.kind not in ATTENTION:
            whole = 1 / network.frames
        elif operator.block == "temporal":
            whole = 1.0
        else:
            whole = -(-network.frames // refresh) / network.frames
        return {"none": whole, "frame": 1 - whole} if whole < 1 else {"none": 1.0}
    raise ValueError(f"unknown method {method!r}: known are {', '.join(METHODS)}")


def cycles_per_mac(runs: Iterable[Run], machine: str, method: str, chosen: OperatorList,
                   network: NetworkConfig, share: Mapping[Operator, float], refresh: int,
                   skip: bool = True) -> float:
    """Cycles for each multiply-accumulate of the network on `machine` by `method`; `skip` False: dense mode."""
    rate = {(run.operator, run.reference): run.cycles / run.macs for run in runs
            if run.machine == machine and run.skip == skip}
    return sum(weight * part * rate[operator, reference] for operator, weight in share.items()
               for reference, part in mix(method, operator, chosen.steps, network, refresh).items())


def digit_efficiency(runs: Iterable[Run], machine: str) -> dict[str, float]:
    """Digit efficiency of each operator and reference on `machine`, and in `total`."""
    result, sums = {}, defaultdict(int)
    for run in runs:
        if run.machine == machine and run.skip:
            result[f"{run.operator.kind}.{run.operator.block}.{run.reference}"] = run.digit_efficiency
            sums["useful"] += run.useful
            sums["possible"] += run.cycles * run.multipliers
    return {**result, "total": sums["useful"] / sums["possible"]}


def cycle_ratios(rates: Mapping[tuple[str, str], float], suffix: str) -> list[Figure]:
    """`speedup.*.vs_original_skip` and `.vs_dense_mode` of `paper` with either policy (`suffix`).

    rates : (machine, method) -> cycles for each multiply-accumulate, method "dense_mode" included.
    """
    machine = f"paper{suffix}"
    figures = []
    for method in ("vida", "ditto"):
        for rival, name in (("original", "vs_original_skip"), ("dense_mode", "vs_dense_mode")):
            # The dense lane alone works in dense mode: the same cycles under either policy.
            value = rates["paper" if rival == "dense_mode" else machine, rival] / rates[machine, method]
            figures.append(Figure(f"speedup.{method}.{name}{suffix}", value, "1", "measured",
                                  f"Verilator, {machine}, operators.toml, cycles"))
    return figures


def equal_area(rates: Mapping[tuple[str, str], float], silicon: Mapping[str, Silicon],
               suffix: str) -> list[Figure]:
    """`speedup.*.vs_dense8_equal_area`: the lower of with and without the right store, and both.

    (cycles_dense8 / cycles) x (area_dense8 / area) x (clock / clock_dense8), `dense8` at its depth of best
    throughput for its area, chosen for each of the two areas alone.
    """
    machine = f"paper{suffix}"
    figures = []
    for method in ("vida", "ditto", "original"):
        values = {}
        for store in ("with_store", "without_store"):
            cost = {name: rates[name, "original"] * getattr(silicon[name], store) / silicon[name].clock
                    for name in (f"dense8.depth{depth}" for depth in DEPTHS) if name in silicon}
            best = min(cost, key=cost.__getitem__)
            own = rates[machine, method] * getattr(silicon[machine], store) / silicon[machine].clock
            values[store] = cost[best] / own, best
        name = f"speedup.{method}.vs_dense8_equal_area{suffix}"
        lower = min(values, key=lambda store: values[store][0])
        for store, (value, best) in values.items():
            figures.append(Figure(f"{name}.{store}", value, "1", "measured",
                                  f"Verilator cycles, synthesised area and clock, against {best}"))
        text = f"{lower.replace('_', ' ')}, against {values[lower][1]}"
        figures.append(Figure(name, values[lower][0], "1", "measured",
                              f"Verilator cycles, synthesised area and clock, {text}"))
    return figures
