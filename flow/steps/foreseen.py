# SPDX-License-Identifier: Apache-2.0
"""Network small on large presets against dense8, by the cycle model: the curve over the memory's bandwidth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

from flow.explore.kept import digest_of, kept_path, read_kept, sources_digest, write_kept
from flow.results import StepResult
from flow.steps.machine_areas import LIBRARY, kept_areas
from host.defo import worth_carrying
from host.ditto import DittoProducts
from host.foresee import Foresight
from host.listing import work
from host.lower import lower
from host.schedule import WHOLE
from hw.config import MachineConfig, load_config
from model.exact.network import QuantisedNetwork
from model.networks import PRESETS as NETWORKS
from model.quantise import load_quantised
from model.sample import STEPS
from synth.group import Synthesiser
from synth.machine import MachineArea

NETWORK, BASELINE = "small", "dense8"
#: Preset -> start of its results' names; the first is the one that `dense` is judged on.
PRESETS = {"default": "machine.speedup", "paper": "machine.paper.speedup"}
METHODS = ("dense", "original", "ditto", "vida")
#: The step that stands for all of a run; of each product each `EVERY`-th panel is walked.
STEP, EVERY = 25, 16

_SOURCES = sources_digest("hw/**/*.py", "host/*.py", "model/*.py", "model/exact/**/*.py", "model/weights/small*",
                          "flow/steps/foreseen.py")


def add_foreseen(step: StepResult, bandwidths: Sequence[int], synthesiser: Synthesiser,
                 progress: Callable[[str], None]) -> None:
    """Add `machine.speedup.<method>.bw<bandwidth>`, the same of `paper`, and the curves as data `small`."""
    cycles, base = _cycles(bandwidths, progress), _area(BASELINE, synthesiser)
    areas, shown = {BASELINE: base}, {}
    for preset, prefix in PRESETS.items():
        own = areas[preset] = _area(preset, synthesiser)
        factor = own.at_equal_area(base)
        curve = {method: {width: cycles[BASELINE][width] / taken * factor for width, taken in found.items()}
                 for method, found in cycles[preset].items()}
        for method, width in product(METHODS[1:], bandwidths):
            step.add(f"{prefix}.{method}.bw{width}", curve[method][str(width)], "1", "modelled",
                     f"network {NETWORK}, preset {preset} against {BASELINE} (dense), step {STEP} of {STEPS} for all, "
                     f"cycle model; equal area on {LIBRARY} of groups, vector unit (synthesised beforehand) and "
                     "control (scaled from smaller machines, beforehand: flow/steps/machine_areas.py); memories "
                     f"apart; {width} bytes a cycle")
        shown[preset] = {"curve": curve, "carried": {str(width): _carried(preset, width) for width in bandwidths}}
    first = next(iter(PRESETS))
    step.add("machine.small.utilisation.dense", cycles["utilisation"], "1", "modelled",
             f"network {NETWORK}, preset {first}, a dense step: products in range x 2 planes / (DPU multipliers x "
             f"cycles); `vida simulate --model {NETWORK} --preset {first} --count 1` measures it")
    step.data["small"] = {
        "presets": shown, "cycles": cycles, "network": NETWORK, "baseline": BASELINE, "step": STEP,
        "areas": {name: [area.groups, area.vector, area.control, area.memory] for name, area in areas.items()}}


def _area(name: str, synthesiser: Synthesiser) -> MachineArea:
    """Area of preset `name`: its groups of today's sources where `LIBRARY` is there, the rest as it was kept."""
    kept = kept_areas()[name]
    if synthesiser.library != LIBRARY:
        return kept
    config = load_config(name)
    group = synthesiser.group(config, inside=False)
    return replace(kept, groups=config.pegs * group.logic, path_ps=group.path_ps)


def _carried(preset: str, width: int) -> list[str]:
    """Operators that ditto computes from differences, for a memory of `width` bytes a cycle."""
    return sorted(worth_carrying(NETWORKS[NETWORK], load_config(preset), width, WHOLE, DittoProducts.share))


def _cycles(bandwidths: Sequence[int], progress: Callable[[str], None]) -> dict:
    """dense8, or preset and method -> bandwidth -> cycles of a step; the dense utilisation; kept from run to run."""
    path = kept_path("foreseen", digest_of(_SOURCES, list(bandwidths)))
    found = read_kept(path)
    if found is None:
        network = load_quantised(NETWORK)[0]
        seen: dict[tuple, Foresight] = {}
        found = {BASELINE: _curve(network, load_config(BASELINE), "dense", bandwidths, seen, progress)}
        found |= {preset: {method: _curve(network, load_config(preset), method, bandwidths, seen, progress)
                           for method in METHODS} for preset in PRESETS}
        first = load_config(next(iter(PRESETS)))
        lowered = seen[first.name, "dense"].lowered
        products = sum(entry.products for entry in work(lowered.step, lowered.operators, first).values())
        taken = found[first.name]["dense"][str(bandwidths[0])]
        found["utilisation"] = 2 * products / (first.pegs * first.multipliers * taken)
        write_kept(path, found)
    return found


def _curve(network: QuantisedNetwork, config: MachineConfig, method: str, bandwidths: Sequence[int],
           seen: dict[tuple, Foresight], progress: Callable[[str], None]) -> dict[str, int]:
    """bandwidth -> cycles; a program that several bandwidths or methods share is watched once."""
    curve = {}
    for width in bandwidths:
        progress(f"{NETWORK} by {method} on {config.name}, {width} bytes a cycle: foreseeing")
        carried = tuple(_carried(config.name, width)) if method == "ditto" else ()
        key = (config.name, "original" if method == "ditto" and not carried else method, *carried)
        if key not in seen:
            seen[key] = Foresight(lower(network, config, method, width), STEPS, [STEP], every=EVERY)
        curve[str(width)] = seen[key].step(STEP, width).cycles
    return curve
