# SPDX-License-Identifier: Apache-2.0
"""Area of a whole machine: its groups, its vector unit, and everything that moves data and control around them."""

from __future__ import annotations

from dataclasses import dataclass

from hw.config import MachineConfig
from synth.group import MEMORY_GATE_EQUIVALENTS, Synthesiser, size_of
from synth.liberty import LIBRARIES


@dataclass(frozen=True)
class MachineArea:
    """Areas in um2, or in gate equivalents without a library.

    `groups`: PEGs with encoders and requantisers; `vector`: the engine, its lanes in it; `control`: loaders, writers,
    crossbar, DMA, fetch, sequencer, registers. `memory`: all memories by the stated model, None where there is none:
    right stores, global buffer, queues. `path_ps` is the groups'.
    """

    groups: float
    vector: float
    control: float
    memory: float | None
    path_ps: float | None

    @property
    def logic(self) -> float:
        """Everything but memories: what comparisons at equal area divide by."""
        return self.groups + self.vector + self.control

    def at_equal_area(self, base: MachineArea) -> float:
        """Multiplies a ratio of cycles: area of `base` over this one's, this one's clock over that of `base`.

        Clocks are taken as equal where a path is not known.
        """
        clock = base.path_ps / self.path_ps if self.path_ps and base.path_ps else 1.0
        return base.logic / self.logic * clock


def machine_area(synthesiser: Synthesiser, config: MachineConfig) -> MachineArea:
    """Synthesise what is not known yet; equal blocks once."""
    group = synthesiser.group(config, inside=False)
    vector, lane, control = (synthesiser.block(config, name, ("area",))
                             for name in ("vector", "vector_lane", "around"))
    bits = config.pegs * group.blocks["control"].memory_bits + vector.memory_bits + control.memory_bits
    bits += 8 * config.line_bytes * config.buffers * config.buffer_lines
    library = synthesiser.library
    each = LIBRARIES[library].sram_um2_per_bit if library else MEMORY_GATE_EQUIVALENTS
    return MachineArea(config.pegs * group.logic, size_of(vector) + config.lanes * size_of(lane), size_of(control),
                       None if each is None else each * bits, group.path_ps)
