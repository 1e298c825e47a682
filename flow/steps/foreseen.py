# SPDX-License-Identifier: Apache-2.0
"""Network small on preset default against dense8, by the cycle model: the curve over the memory's bandwidth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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
from model.networks import PRESETS
from model.quantise import load_quantised
from model.sample import STEPS
from synth.group import Synthesiser
from synth.machine import MachineArea

NETWORK, PRESET, BASELINE = "small", "default", "dense8"
METHODS = ("dense", "original", "ditto", "vida")
#: The step that stands for all of a run; of each product each `EVERY`-th panel is walked.
STEP, EVERY = 25, 16

_SOURCES = sources_digest("hw/**/*.py", "host/*.py", "model/*.py", "model/exact/**/*.py", "model/weights/small*",
                          "flow/steps/foreseen.py")


def add_foreseen(step: StepResult, bandwidths: Sequence[int], synthesiser: Synthesiser,
                 progress: Callable[[str], None]) -> None:
    """Add `machine.speedup.<method>.bw<bandwidth>` and the curve as data `small`."""
    cycles, areas = _cycles(bandwidths, progress), {name: _area(name, synthesiser) for name in (PRESET, BASELINE)}
    own, base = areas[PRESET], areas[BASELINE]
    factor = base.logic / own.logic * (base.path_ps / own.path_ps)
    setting = (f"network {NETWORK}, preset {PRESET} against {BASELINE} (dense), step {STEP} of {STEPS} for all, cycle "
               f"model; equal area on {LIBRARY} of groups, vector unit (synthesised beforehand) and control (scaled "
               "from smaller machines, beforehand: flow/steps/machine_areas.py); memories apart")
    curve: dict[str, dict[str, float]] = {method: {} for method in METHODS}
    for method in METHODS:
        for width in bandwidths:
            gain = cycles[BASELINE][str(width)] / cycles[method][str(width)] * factor
            curve[method][str(width)] = gain
            if method != "dense":
                step.add(f"machine.speedup.{method}.bw{width}", gain, "1", "modelled",
                         f"{setting}; {width} bytes a cycle")
    step.add("machine.small.utilisation.dense", cycles["utilisation"], "1", "modelled",
             f"network {NETWORK}, preset {PRESET}, a dense step: products in range x 2 planes / (DPU multipliers x "
             f"cycles); `vida simulate --model {NETWORK} --preset {PRESET} --count 1` measures it")
    step.data["small"] = {
        "curve": curve, "cycles": cycles, "carried": {str(width): _carried(width) for width in bandwidths},
        "network": NETWORK, "preset": PRESET, "baseline": BASELINE, "step": STEP,
        "areas": {name: [area.groups, area.vector, area.control, area.memory] for name, area in areas.items()}}


def _area(name: str, synthesiser: Synthesiser) -> MachineArea:
    """Area of preset `name`: its groups of today's sources where `LIBRARY` is there, the rest as it was kept."""
    kept = kept_areas()[name]
    if synthesiser.library != LIBRARY:
        return kept
    config = load_config(name)
    group = synthesiser.group(config, inside=False)
    return replace(kept, groups=config.pegs * group.logic, path_ps=group.path_ps)


def _carried(width: int) -> list[str]:
    """Operators that ditto computes from differences, for a memory of `width` bytes a cycle."""
    return sorted(worth_carrying(PRESETS[NETWORK], load_config(PRESET), width, WHOLE, DittoProducts.share))


def _cycles(bandwidths: Sequence[int], progress: Callable[[str], None]) -> dict:
    """dense8 or method -> bandwidth -> cycles of a step; the dense utilisation; kept from run to run."""
    path = kept_path("foreseen", digest_of(_SOURCES, list(bandwidths)))
    found = read_kept(path)
    if found is None:
        network, own = load_quantised(NETWORK)[0], load_config(PRESET)
        seen: dict[tuple, Foresight] = {}
        found = {BASELINE: _curve(network, load_config(BASELINE), "dense", bandwidths, seen, progress)}
        found |= {method: _curve(network, own, method, bandwidths, seen, progress) for method in METHODS}
        lowered = seen[PRESET, "dense"].lowered
        products = sum(entry.products for entry in work(lowered.step, lowered.operators, own).values())
        found["utilisation"] = 2 * products / (own.pegs * own.multipliers * found["dense"][str(bandwidths[0])])
        write_kept(path, found)
    return found


def _curve(network: QuantisedNetwork, config: MachineConfig, method: str, bandwidths: Sequence[int],
           seen: dict[tuple, Foresight], progress: Callable[[str], None]) -> dict[str, int]:
    """bandwidth -> cycles; a program that several bandwidths or methods share is watched once."""
    curve = {}
    for width in bandwidths:
        progress(f"{NETWORK} by {method} on {config.name}, {width} bytes a cycle: foreseeing")
        carried = tuple(_carried(width)) if method == "ditto" else ()
        key = (config.name, "original" if method == "ditto" and not carried else method, *carried)
        if key not in seen:
            seen[key] = Foresight(lower(network, config, method, width), STEPS, [STEP], every=EVERY)
        curve[str(width)] = seen[key].step(STEP, width).cycles
    return curve
