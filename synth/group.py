# SPDX-License-Identifier: Apache-2.0
"""Area and clock of a whole group: what every comparison at equal area divides by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from hw.config import MachineConfig
from hw.converted import machine_rtlil
from hw.rtlil import Modules
from hw.verilog import to_rtlil
from synth.area import RECIPES, Area, map_rtlil, together
from synth.blocks import Block, blocks
from synth.liberty import LIBRARIES
from synth.parts import parts

#: Model of a memory bit without a library: 0.042 um2 (ASAP7-scaled macros) / 0.087 um2 (its smallest NAND2).
MEMORY_GATE_EQUIVALENTS = 0.48


@dataclass(frozen=True)
class GroupArea:
    """One group: logic, right store by the memory model, and the longest path.

    `logic` and `store` are in um2, or in gate equivalents without a library; `store` is None where the library has
    no memory model, `path_ps` where there is no library. `parts` are the areas that make up `logic`, `ccpe` the
    areas of one CCPE's parts synthesised alone.
    """

    logic: float
    store: float | None
    path_ps: float | None
    parts: dict[str, float]
    ccpe: dict[str, float]
    blocks: dict[str, Area] = field(repr=False)

    @property
    def clock_mhz(self) -> float | None:
        """1 / path."""
        return None if self.path_ps is None else 1e6 / self.path_ps


class Synthesiser:
    """Synthesises blocks of several configurations on one library, equal ones once."""

    def __init__(self, library: str | None, pdk: str | Path | None = None,
                 progress: Callable[[str], None] = lambda text: None) -> None:
        self.library = library
        self._pdk, self._progress = pdk, progress
        self._done: dict[tuple, Area] = {}

    def block(self, config: MachineConfig, name: str, recipes: tuple[str, ...] = tuple(RECIPES)) -> Area:
        """One block of `config`; see `synth.blocks.blocks`."""
        key = (name, self._matters(config, name), recipes)
        if key not in self._done:
            self._progress(f"{config.name} {config.allocation.value} depth {config.depth}: {name}")
            block = blocks(config)[name]
            if block.make is not None:
                text, top, _ports = to_rtlil(block.make())
                self._done[key] = self._mapped(name, text, top, block.without, recipes)
            else:
                self._done[key] = self._of_machine(name, Modules(machine_rtlil(config)), block, recipes)
        return self._done[key]

    def _of_machine(self, name: str, machine: Modules, block: Block, recipes: tuple[str, ...]) -> Area:
        """A block that is taken out of the whole machine."""
        found = [(self._mapped(f"{name}: {top}", text, top, (), recipes), count)
                 for (text, top), count in parts(machine, block).items()]
        return replace(found[0][0], block=name) if len(found) == 1 else together(name, found)

    def _mapped(self, name: str, text: str, top: str, without: tuple[str, ...], recipes: tuple[str, ...]) -> Area:
        return map_rtlil(name, text, top, self.library, self._pdk, without, recipes)

    def group(self, config: MachineConfig, inside: bool = True) -> GroupArea:
        """The whole group: CCPEs, requantiser, all the rest, and the longest path.

        The path is that of a group with one CCPE, or of its requantiser, which a register sets apart. `inside` False
        leaves out the parts of a CCPE, which are synthesised alone. Blocks with long chains of choices are mapped for
        delay only: mapped for least area they have missed every target.
        """
        found = {"ccpe": self.block(config, "ccpe"),
                 **{name: self.block(config, name, ("speed",)) for name in ("control", "requantise")}}
        path = None
        if self.library:
            found["path"] = self.block(config, "path", ("speed",))
            path = max(found[name].path_ps or 0.0 for name in ("path", "requantise"))
        every = blocks(config)
        parts = {name: every[name].group * size_of(found[name]) for name in ("ccpe", "control", "requantise")}
        units = {name: self.block(config, name) for name, block in every.items() if inside and block.ccpe}
        ccpe = {name: every[name].ccpe * size_of(area) for name, area in units.items()}
        if inside:
            ccpe["issue"] = size_of(self.block(config, "issue")) / config.ccpes
        per_bit = LIBRARIES[self.library].sram_um2_per_bit if self.library else MEMORY_GATE_EQUIVALENTS
        store = None if per_bit is None else per_bit * found["control"].memory_bits
        return GroupArea(sum(parts.values()), store, path, parts, ccpe, found | units)

    def _matters(self, config: MachineConfig, name: str) -> str:
        """What tells two instances of a block apart: everything but the name, and for lanes not the policy's kind."""
        if name in ("vector", "around"):
            return repr(sorted(config.replace(name="machine").model_dump(mode="json").items()))
        fields = config.group_fields()
        if name in ("ccpe", "dpu", "spu", "merge", "shadow"):
            fields = {key: fields[key] for key in ("lane", "drain", "k_max")} | {
                "depth": config.dense_depth, "sparse": config.sparse_lanes, "own": config.own_sparse_sum,
                "buses": config.buses if config.merges else 0}
        if name == "requantise":
            fields = {key: fields[key] for key in ("k_max", "ccpes", "requantise_cycles")}
        return repr(sorted(fields.items()))


def size_of(area: Area) -> float:
    """um2, or gate equivalents where no library was given."""
    value = area.gate_equivalents if area.library is None else area.um2
    return value or 0.0
