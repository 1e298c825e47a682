# SPDX-License-Identifier: Apache-2.0
"""Speed-ups at equal area, and what must stand beside them: traffic, and the dense network with fewer steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flow.results import Result, StepResult, read_step, results_folder, value_of
from flow.steps.quality import shorter
from flow.steps.traffic import add_traffic
from hw.config import load_config
from model.methods import REFRESH
from model.networks import preset
from model.sample import STEPS
from verif.measure import DEPTHS
from verif.operators import load_list
from verif.speedup import Silicon, equal_area

#: Policy -> end of the names of its results.
POLICIES = {"threshold": "", "balance": ".balance"}
#: The dense network with fewer steps: name, the speed-up that says how many, and where it runs.
RIVALS = (("dense8", "vs_dense8_equal_area", "the dense network on dense8, at equal area,"),
          ("same_array", "vs_original_skip", "the dense network on the same array, skipping zeros,"))


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Join the cycles of `simulate` with the areas and clocks of `synthesise`."""
    folder = results_folder()
    simulated, synthesised = (read_step(folder / f"{name}.json") for name in ("simulate", "synthesise"))
    step = StepResult()
    rates = {(line["machine"], line["method"]): line["cycles_per_mac"] for line in simulated.data["rates"]}
    silicon = {name: Silicon(**fields) for name, fields in synthesised.data["silicon"].items()}
    kind, basis = synthesised.data["kind"], synthesised.data["basis"]
    progress("speed-ups at equal area")
    for suffix in POLICIES.values():
        for figure in equal_area(rates, silicon, suffix):
            step.results.append(Result(figure.name, figure.value, figure.unit, kind, f"{figure.source}; {basis}"))
    step.results += _by_depth(rates, silicon, kind)
    chosen = load_list()
    progress("traffic")
    add_traffic(step, chosen, preset(chosen.network), load_config("paper").acc_bits, REFRESH)
    for policy, suffix in POLICIES.items():
        progress(f"fewer steps at the cost of vida, {policy}")
        for name, figure, rival in RIVALS:
            gain = value_of([*step.results, *simulated.results], f"speedup.vida.{figure}{suffix}")
            _add_rival(step, f"rival.vida.{name}", suffix, gain, rival)
    return step


def _by_depth(rates: dict[tuple[str, str], float], silicon: dict[str, Silicon], kind: str) -> list[Result]:
    """`speedup.*.vs_dense8_depth<n>_equal_area`: the same figure against the baseline of one depth each."""
    results = []
    for depth in DEPTHS:
        for policy, suffix in POLICIES.items():
            pair = {name: silicon[name] for name in (f"paper{suffix}", f"dense8.depth{depth}")}
            claims = {figure.name: figure for figure in equal_area(rates, pair, suffix)}
            for method in ("vida", "ditto"):
                claim = claims[f"speedup.{method}.vs_dense8_equal_area{suffix}"]
                name = f"speedup.{method}.vs_dense8_depth{depth}_equal_area{suffix}"
                results.append(Result(name, claim.value, "1", kind, f"{claim.source}, {policy}; for information"))
    return results


def _add_rival(step: StepResult, name: str, suffix: str, gain: float, rival: str) -> None:
    """`name`.steps and .psnr_db: how many steps the rival makes in the time of vida's full run, and what they keep.

    No PSNR where vida is no faster: then the rival makes its full run, and loses nothing.
    """
    steps = int(STEPS / gain)
    step.add(f"{name}.steps{suffix}", min(steps, STEPS), "steps", "modelled",
             f"steps that {rival} makes in the time of vida's {STEPS}, rounded down, at most {STEPS}")
    if steps < STEPS:
        step.add(f"{name}.psnr_db{suffix}", shorter(steps), "dB", "measured",
                 f"float network small, {steps} against {STEPS} steps, same noise")
