# SPDX-License-Identifier: Apache-2.0
"""Areas and clocks of `paper` by either policy and of `dense8` at every depth, and the shares inside a CCPE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flow.explore.silicon import KeptSynthesiser
from flow.results import StepResult
from hw.config import load_config
from synth.group import GroupArea
from synth.liberty import LIBRARIES, available
from verif.measure import machines

#: Synthesised block -> part of a CCPE's area as the paper lists them.
PARTS = {"dpu": "DPUs", "spu": "SPUs", "issue": "allocation", "merge": "merge"}
#: Part of a group -> what is in it.
WORDS = {"ccpe": "all CCPEs of a group", "requantise": "requantiser of a group, four lanes a CCPE",
         "control": "all the rest of a group: encoder, allocation, right-store logic, drain control, queues, counters"}


@dataclass(frozen=True)
class _Basis:
    """What areas are given in: a library's um2, or gate equivalents."""

    library: str | None

    @property
    def unit(self) -> str:
        return "um2" if self.library else "GE"

    @property
    def suffix(self) -> str:
        """End of the names of areas."""
        return f"_um2.{self.library}" if self.library else "_ge"

    @property
    def words(self) -> str:
        if self.library:
            return f"{self.library}, um2 and clock after mapping, buffering and sizing, no wires"
        return "gate equivalents (NAND2 = 1) and equal clocks, since no Liberty file was given"


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Synthesise on ASAP7 where `pdk` has it, else on another library with a memory model, else without any."""
    libraries = available(pdk) if pdk else []
    basis = _Basis(next((name for name in libraries if LIBRARIES[name].sram_um2_per_bit), None))
    synthesiser, step = KeptSynthesiser(basis.library, pdk, progress), StepResult()
    silicon = {}
    for name, config in machines().items():
        group = synthesiser.group(config, inside=name == "paper")
        _add_group(step, name, group, basis)
        silicon[name] = {"with_store": group.logic + group.store, "without_store": group.logic,
                         "clock": group.clock_mhz or 1.0}
        if name == "paper":
            shares = _add_shares(step, group, basis)
    for preset in ("paper", "dense8"):
        config = load_config(preset)
        area = synthesiser.group(config, inside=False).parts["ccpe"] / config.ccpes
        step.add(f"area.{preset}.ccpe{basis.suffix}", area, basis.unit, "measured",
                 f"Yosys and ABC, one CCPE of {preset}, {basis.words}")
    step.data = {"silicon": silicon, "shares": {basis.library or "gate equivalents": shares},
                 "basis": basis.words, "unit": basis.unit,
                 "libraries": [basis.library] if basis.library else [],
                 # Without a library a clock is assumed, not found.
                 "kind": "measured" if basis.library else "modelled"}
    return step


def _add_group(step: StepResult, name: str, group: GroupArea, basis: _Basis) -> None:
    step.add(f"area.{name}.group{basis.suffix}", group.logic, basis.unit, "measured",
             f"Yosys and ABC, everything in a group but its right store, {basis.words}")
    for part, size in group.parts.items():
        step.add(f"area.{name}.group_{part}{basis.suffix}", size, basis.unit, "measured",
                 f"Yosys and ABC, {WORDS[part]}, {basis.words}")
    step.add(f"area.{name}.store{basis.suffix}", group.store, basis.unit, "modelled",
             f"{group.blocks['control'].memory_bits} bits of right store at a stated area a bit")
    if group.clock_mhz:
        step.add(f"clock.{name}.mhz.{basis.library}", group.clock_mhz, "MHz", "measured",
                 "ABC, longest path of a whole group of one CCPE, after buffering and sizing, no wires")


def _add_shares(step: StepResult, group: GroupArea, basis: _Basis) -> dict[str, float]:
    """`area.paper.*_share`: each unit / the sum of the four, as in the paper's table. Returns part -> share."""
    total = sum(group.ccpe[block] for block in PARTS)
    for block in PARTS:
        step.add(f"area.paper.{block}_share", group.ccpe[block] / total, "1", "measured",
                 f"Yosys and ABC, {PARTS[block]} / the four units of a CCPE (allocation: the group's / its CCPEs), "
                 f"{basis.words}")
    return {part: group.ccpe[block] / total for block, part in PARTS.items()}
