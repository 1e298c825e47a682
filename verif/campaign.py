# SPDX-License-Identifier: Apache-2.0
"""Every measurement on the Verilog in one go: `python -m verif.campaign` writes build/measure.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hw.config import TILE, Drain, MachineConfig
from hw.errors import VidaError
from hw.workspace import build_folder
from model import vectors
from model.exact.route.allocation import best_split, schedule
from model.methods import REFRESH
from model.networks import NetworkConfig, preset
from verif.measure import (
    DEPTHS,
    Figure,
    Players,
    Run,
    best_threshold,
    law_tiles,
    machines,
    occupancy,
    play_entries,
    play_operator,
    utilisation_figures,
)
from verif.operators import Operands, Operator, OperatorList, load_list, operands, shares
from verif.speedup import METHODS, cycle_ratios, cycles_per_mac, digit_efficiency

FORMAT = 1
Work = dict[tuple[Operator, str], Operands]


@dataclass
class Campaign:
    """What was measured: figures, a run for each operator, reference and machine, and traces to draw."""

    figures: list[Figure] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    #: (machine, method) -> cycles for each multiply-accumulate of the network; methods and `dense_mode`
    rates: dict[tuple[str, str], float] = field(default_factory=dict)
    #: trace name -> `dense`, `sparse`, `tile` for every cycle
    occupancy: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `build/measure.json`."""
        runs = [{**asdict(run), "operator": run.operator.label} for run in self.runs]
        rates = [{"machine": machine, "method": method, "cycles_per_mac": value}
                 for (machine, method), value in self.rates.items()]
        return {"format": FORMAT, "results": [asdict(figure) for figure in self.figures], "runs": runs,
                "rates": rates, "occupancy": self.occupancy}


def measure(refresh: int = REFRESH, progress: Callable[[str], None] = lambda text: None) -> Campaign:
    """Run everything; `refresh` is the interval of the quality setting, `progress` hears what comes next."""
    campaign, players, chosen = Campaign(), Players(), load_list()
    if refresh > 1 and chosen.frame % refresh == 0:
        raise VidaError(f"operators.toml: frame {chosen.frame} is a refresh of interval {refresh}")
    network = preset(chosen.network)
    share = shares(chosen, network)
    progress("capturing operands")
    work = operands(chosen)
    configs = machines()
    for machine in ("paper", "paper.balance"):
        progress(f"operators on {machine}")
        campaign.runs += _paper_runs(players, configs[machine], machine, work, share)
    for depth in DEPTHS:
        machine = f"dense8.depth{depth}"
        progress(f"operators on {machine}")
        campaign.runs += [play_operator(players, configs[machine], machine, part, skip=True)
                          for (_, reference), part in work.items() if reference == "none"]
    campaign.rates = _rates(campaign.runs, chosen, network, share, refresh)
    for suffix in ("", ".balance"):
        campaign.figures += cycle_ratios(campaign.rates, suffix)
    campaign.figures += _issue_figures(campaign.runs, configs["paper.balance"], work)
    progress("dense utilisation")
    campaign.figures += utilisation_figures(players)
    progress("golden vectors")
    campaign.figures += _totals(campaign.runs, work, players, [configs["paper"], configs["paper.balance"]])
    campaign.occupancy = _occupancies(players, configs, campaign.runs, work)
    return campaign


def _paper_runs(players: Players, config: MachineConfig, machine: str, work: Work,
                share: Mapping[Operator, float]) -> list[Run]:
    """Every operator and reference with the best threshold of its kind; and `paper` in dense mode."""
    runs, thresholds = [], {}
    for operator, reference in work:
        alike = [(part, share[part.operator]) for (other, ref), part in work.items()
                 if (other.kind, ref) == (operator.kind, reference)]
        if (operator.kind, reference) not in thresholds:
            thresholds[operator.kind, reference] = best_threshold(alike, config)
    for (operator, reference), part in work.items():
        runs.append(play_operator(players, config, machine, part, thresholds[operator.kind, reference]))
        if reference == "none" and machine == "paper":
            runs.append(play_operator(players, config, machine, part, skip=False))
    return runs


def _rates(runs: list[Run], chosen: OperatorList, network: NetworkConfig, share: Mapping[Operator, float],
           refresh: int) -> dict[tuple[str, str], float]:
    wanted = [(f"dense8.depth{depth}", "original") for depth in DEPTHS]
    wanted += [(machine, method) for machine in ("paper", "paper.balance") for method in METHODS]
    arguments = chosen, network, share, refresh
    rates = {(machine, method): cycles_per_mac(runs, machine, method, *arguments) for machine, method in wanted}
    rates["paper", "dense_mode"] = cycles_per_mac(runs, "paper", "original", *arguments, skip=False)
    return rates


def _issue_figures(runs: list[Run], balance: MachineConfig, work: Work) -> list[Figure]:
    """`issue.*`: the Verilog against the law's schedule, the schedule against its bound, digit efficiency.

    A tile that waits four cycles for its own drain cannot come near a bound without drain: the plain name is for
    shadow drain, `.inplace` for the other.
    """
    held = [run for run in runs if run.law_cycles]
    ratio = sum(run.cycles for run in held) / sum(run.law_cycles for run in held)
    worst = max(run.cycles / run.law_cycles for run in held)
    source = f"Verilator / law's schedule, {len(held)} runs of operators.toml"
    figures = [Figure("issue.schedule_ratio", ratio, "1", "measured", f"{source}, sum of cycles"),
               Figure("issue.schedule_ratio.worst", worst, "1", "measured", f"{source}, the highest")]
    timestep = [part for (_, reference), part in work.items() if reference == "timestep"]
    for drain, suffix in ((Drain.SHADOW, ""), (Drain.INPLACE, ".inplace")):
        ratio = schedule_over_bound(balance.replace(drain=drain), timestep)
        source = f"law's schedule / best split, balance, {drain.value} drain, timestep operands"
        figures.append(Figure(f"issue.schedule_over_bound{suffix}", ratio, "1", "modelled", source))
    for machine in ("paper", "paper.balance"):
        stem = f"issue.digit_efficiency{machine.removeprefix('paper')}"
        for name, value in digit_efficiency(runs, machine).items():
            name = stem if name == "total" else f"{stem}.{name}"
            figures.append(Figure(name, value, "1", "measured", f"Verilator, {machine}, operators.toml"))
    return figures


def schedule_over_bound(config: MachineConfig, work: list[Operands]) -> float:
    """Cycles of the law's schedule / best split of each tile's segments between the lanes."""
    cycles = bound = 0
    for part in work:
        tiles = law_tiles(part.products(TILE), config)
        cycles += schedule(tiles, config).cycles
        bound += sum(best_split(tile, config) for tile in tiles)
    return cycles / bound


def _totals(runs: list[Run], work: Work, players: Players, configs: list[MachineConfig]) -> list[Figure]:
    """`rtl.*`: every captured vector, the committed ones and those of operators.toml, against the law."""
    golden = vectors.read()
    tiles, compared, wrong = (sum(column) for column in zip(
        *(play_entries(players, config, golden) for config in configs), strict=True))
    tiles += sum(run.counters["tiles"] for run in runs)
    compared += sum(run.compared for run in runs)
    wrong += sum(run.mismatches for run in runs)
    count = len(golden) + sum(len(part.entries) for part in work.values())
    source = "Verilator against the law, committed vectors and operators.toml, paper and dense8"
    return [Figure("rtl.vectors", count, "vectors", "measured", source),
            Figure("rtl.tiles", tiles, "tiles", "measured", source),
            Figure("rtl.results", compared, "results", "measured", source),
            Figure("rtl.mismatches", wrong, "results", "measured", source),
            Figure("sim.cycles_per_second", players.speed("paper"), "1/s", "measured",
                   "Verilator, a group of paper built for short runs, all runs of verif.campaign")]


def _occupancies(players: Players, configs: Mapping[str, MachineConfig], runs: list[Run],
                 work: Work) -> dict[str, dict[str, list[int]]]:
    """Traces of one feed-forward operator with either policy and every reference."""
    result = {}
    for run in runs:
        operator = run.operator
        drawn = (operator.kind, operator.layer) == ("fc1", 0) and run.skip
        if drawn and run.machine in ("paper", "paper.balance"):
            trace = occupancy(players, configs[run.machine], work[operator, run.reference], run.threshold)
            name = f"{run.machine}.{run.reference}"
            result[name] = {key: values.tolist() for key, values in trace.items()}
    return result


def main() -> None:
    """Measure, print the figures, write build/measure.json."""
    campaign = measure(progress=print)
    for figure in campaign.figures:
        print(f"{figure.name:50} {figure.value:12.4f} {figure.unit:8} {figure.kind}")
    path = build_folder() / "measure.json"
    path.write_text(json.dumps(campaign.as_json(), indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    main()
