# SPDX-License-Identifier: Apache-2.0
"""Speed-up of whole machines at equal area and equal bandwidth: tiny's sampling runs against the native machine's on
the Verilog, and a step of small by the cycle model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flow.explore.silicon import KeptSynthesiser
from flow.results import StepResult, read_step, results_folder
from flow.steps.foreseen import add_foreseen
from flow.steps.machine import FORESEEN, NETWORK, PRESET
from host.foresee import Foresight
from host.lower import lower
from hw.config import MachineConfig, load_config
from model.quantise import load_quantised
from model.sample import STEPS
from synth import liberty
from synth.machine import MachineArea, machine_area
from verif.machine import Bus
from verif.sampling import sample

#: Bytes a cycle of the memory, both directions together.
BANDWIDTHS = (64, 32, 16, 8)
#: Methods, and the steps of a run that are simulated at each bandwidth: those that move little are sampled.
METHODS = {"original": 2, "ditto": STEPS, "vida": 2}
#: Between the ends of the curve the cycle model stands for ditto's whole runs, which are long.
FORESEEN_AT = {"ditto": (32, 16)}
#: The baseline: the same machine with native multipliers, at the depth of best throughput per area.
BASELINE = {"name": "tiny_dense8", "lane": "native", "allocation": "none", "depth": 4, "scan": 4, "slots": 4}


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Simulate and synthesise; needs the results of step `machine`."""
    own = load_config(PRESET)
    machines = {"own": own, "baseline": own.replace(**BASELINE)}
    library = "asap7" if "asap7" in liberty.available(pdk) else None
    synthesiser = KeptSynthesiser(library, pdk, progress)
    areas = {name: machine_area(synthesiser, config) for name, config in machines.items()}
    whole = {line["method"]: line["cycles"] / line["steps"]
             for line in read_step(results_folder() / "machine.json").data["lines"]}
    step, curve = StepResult(), {}
    for bandwidth in BANDWIDTHS:
        base = _cycles(machines["baseline"], "dense", 2, bandwidth, progress, short=True)
        for method, count in METHODS.items():
            known = bandwidth == BANDWIDTHS[0] and method in whole
            foreseen = bandwidth in FORESEEN_AT.get(method, ())
            find = _foreseen if foreseen else _cycles
            cycles = whole[method] if known else find(own, method, count, bandwidth, progress)
            gain = base / cycles * areas["own"].at_equal_area(areas["baseline"])
            curve.setdefault(method, {})[str(bandwidth)] = gain
            sampled = f"{count} of {STEPS} steps" if count < STEPS and not known else f"{STEPS} steps"
            sampled += " by the cycle model" if foreseen else ""
            step.add(f"machine.{NETWORK}.speedup.{method}.bw{bandwidth}", gain, "1",
                     "modelled" if foreseen else "measured",
                     f"network {NETWORK}, preset {PRESET} against the same machine with native lanes of depth "
                     f"{BASELINE['depth']} (dense), {sampled}, {bandwidth} bytes a cycle, equal area of groups, vector "
                     f"unit and control on {library or 'gate equivalents, clocks taken as equal'}; memories apart")
    for name, area in areas.items():
        _add_area(step, name, area, library)
    step.data = {"curve": curve, "areas": {name: [area.groups, area.vector, area.control, area.memory]
                                           for name, area in areas.items()},
                 "unit": "um2" if library else "GE", "baseline": BASELINE["depth"]}
    add_foreseen(step, BANDWIDTHS, synthesiser, progress)
    return step


def _cycles(config: MachineConfig, method: str, count: int, bandwidth: int, progress: Callable[[str], None],
            short: bool = False) -> float:
    """Cycles of a step on average over its first `count` ones; `short` as in `sample`."""
    def tell(number: int, _step) -> None:
        progress(f"{method} on {config.name}, {bandwidth} bytes a cycle: step {number + 1} of {count}")

    made = sample(NETWORK, config, method, STEPS, count, bus=Bus(bandwidth), progress=tell, short=short)
    if made.exact != len(made.steps):
        raise AssertionError(f"{method} on {config.name}: {len(made.steps) - made.exact} steps differ from the law")
    return made.cycles / len(made.steps)


def _foreseen(config: MachineConfig, method: str, count: int, bandwidth: int,
              progress: Callable[[str], None]) -> float:
    """Cycles of a step on average over a run of `count` steps, predicted from some of them."""
    progress(f"{method} on {config.name}, {bandwidth} bytes a cycle: foreseeing")
    lowered = lower(load_quantised(NETWORK)[0], config, method, bandwidth)
    return Foresight(lowered, count, FORESEEN[method]).run(bandwidth).cycles / count


def _add_area(step: StepResult, name: str, area: MachineArea, library: str | None) -> None:
    unit, suffix = ("um2", f"um2.{library}") if library else ("GE", "ge")
    words = PRESET if name == "own" else "the same with native lanes"
    for part in ("groups", "vector", "control"):
        step.add(f"area.machine.{name}.{part}_{suffix}", getattr(area, part), unit, "measured",
                 f"{words}: {part} by Yosys and ABC, no wires, memories apart")
    if area.memory is not None:
        step.add(f"area.machine.{name}.memory_{suffix}", area.memory, unit, "modelled", f"{words}: all memories")
