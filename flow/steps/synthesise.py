# SPDX-License-Identifier: Apache-2.0
"""Area and critical path of every machine that is compared, and the shares inside a CCPE of `paper`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from flow.results import StepResult
from synth import liberty
from synth.group import GroupArea, Synthesiser
from verif.measure import machines

#: Library of the comparison, where its files are given.
LIBRARY = "asap7"
#: Block -> how the paper calls it.
_PARTS = {"dpu": "DPUs", "spu": "SPUs", "issue": "allocation", "merge": "merge"}


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Synthesise on ASAP7 where `pdk` holds it, else in gate equivalents, where all clocks count as equal."""
    step = StepResult()
    found = liberty.available(pdk) if pdk else []
    library = LIBRARY if LIBRARY in found else None
    synthesiser = Synthesiser(library, pdk, progress)
    groups = {name: synthesiser.group(config) for name, config in machines().items()}
    unit, basis = ("um2", f"Yosys and ABC, {library}") if library else ("GE", "Yosys, gate equivalents")
    memory = "memory by a stated model per bit"
    for name, group in groups.items():
        step.add(f"area.{name}.group", group.logic, unit, "measured", f"{basis}, PEG with encoder and requantiser")
        step.add(f"area.{name}.store", group.store, unit, "modelled", f"right store, {memory}")
        if group.path_ps is not None:
            step.add(f"clock.{name}.path_ps", group.path_ps, "ps", "measured", f"{basis}, one CCPE, after sizing")
    shares = _shares(groups["paper"])
    step.add("area.paper.dpu_share", shares["DPUs"], "1", "measured", f"{basis}, parts of a CCPE one by one")
    step.add("area.paper.spu_share", shares["SPUs"], "1", "measured", f"{basis}, parts of a CCPE one by one")
    if library:
        for name, machine in (("paper", "paper"), ("dense8", "dense8.depth1")):
            area = groups[machine].blocks["ccpe"]
            step.add(f"area.{name}.ccpe_um2.{library}", area.um2, "um2", "measured", f"{basis}, depth 1")
    step.data = {
        "libraries": [library] if library else [], "kind": "measured",
        "basis": f"{basis}, {memory}" + ("" if library else ", equal clocks assumed"),
        "silicon": {name: {"with_store": group.logic + group.store, "without_store": group.logic,
                           "clock": group.clock_mhz or 1.0} for name, group in groups.items()},
        "shares": {library or "gate equivalents": shares},
        "parts": {name: group.parts for name, group in groups.items()},
        "blocks": {name: {part: asdict(area) for part, area in group.blocks.items()} for name, group in groups.items()}}
    return step


def _shares(group: GroupArea) -> dict[str, float]:
    total = sum(group.ccpe.values())
    return {_PARTS[name]: area / total for name, area in group.ccpe.items()}
