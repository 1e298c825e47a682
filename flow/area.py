# SPDX-License-Identifier: Apache-2.0
"""The table that `vida synthesize` prints."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from hw.config import MachineConfig
from hw.errors import VidaError
from synth import liberty
from synth.blocks import blocks
from synth.group import Synthesiser


def table(config: MachineConfig, pdk: Path | None, library: str | None, block: str | None, console: Console) -> None:
    """Synthesise `config` (or one `block` of it) and print every block's area and critical path.

    Without `library`: gate equivalents, and every library that `pdk` holds. Raises VidaError for an unknown block or
    library before anything runs.
    """
    names = list(blocks(config))
    if block is not None and block not in names:
        raise VidaError(f"unknown block {block!r} of {config.name}: known are {', '.join(names)}")
    if library is not None:
        liberty.find(library, pdk)
    libraries = [library] if library else [None, *liberty.available(pdk)]
    for target in libraries:
        with console.status("") as status:
            synthesiser = Synthesiser(target, pdk, status.update)
            areas = {name: synthesiser.block(config, name) for name in ([block] if block else names)}
        measure = target or "gate equivalents (NAND2 = 1)"
        shown = Table(title=f"{config.name}, {measure}: measured by Yosys and ABC, no wires")
        for heading in ("block", "um2" if target else "GE", "path, ps", "flip-flops", "memory bits"):
            shown.add_column(heading, justify="left" if heading == "block" else "right")
        for name, area in areas.items():
            size = area.um2 if target else area.gate_equivalents
            shown.add_row(name, f"{size:,.1f}", "" if area.path_ps is None else f"{area.path_ps:.0f}",
                          str(area.registers), str(area.memory_bits))
        console.print(shown)
        if not block:
            group = synthesiser.group(config)
            store = "no memory model" if group.store is None else f"{group.store:,.0f} (modelled)"
            console.print(f"group: {group.logic:,.0f} {'um2' if target else 'GE'} and right store {store}")
