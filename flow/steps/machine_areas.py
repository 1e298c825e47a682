# SPDX-License-Identifier: Apache-2.0
"""Areas of large machines, found beforehand: `python -m flow.steps.machine_areas` finds them again.

Groups and vector unit are synthesised. What lies around them is scaled from machines of one group with two and four
CCPEs, which are synthesised: of `default` Yosys does not flatten it in ten minutes. Either takes longer than the main
job has.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from flow.explore.silicon import KeptSynthesiser
from hw.config import Lane, MachineConfig, load_config
from hw.workspace import read_toml
from synth.group import Synthesiser, size_of
from synth.liberty import LIBRARIES
from synth.machine import MachineArea

FILE = Path(__file__).with_suffix(".toml")
LIBRARY = "asap7"
PRESETS = ("default", "paper", "dense8")
#: Ports of the buffer: of a group, and of LOAD, STORE and vector engine together.
GROUP_PORTS, OTHER_PORTS = 7, 7
#: Units beside the groups.
OTHER_UNITS = 3


def kept_areas() -> dict[str, MachineArea]:
    """preset -> areas on `LIBRARY`, as they were found."""
    found = read_toml(FILE, "areas of machines")
    return {name: MachineArea(**found[name]) for name in PRESETS}


def scaled_control(config: MachineConfig, two: float, four: float, differences: float) -> float:
    """Area around the groups of `config`, from that around one native group.

    two, four : of machines of so many CCPEs: what does not grow with them is the units', what does the ports'
    differences : what reading digits with their references adds to a group, for every column k a cycle
    """
    slope = (four - two) / 2
    fixed, ports = two - 2 * slope, OTHER_PORTS + GROUP_PORTS * config.pegs
    control = fixed * (OTHER_UNITS + config.pegs) / (OTHER_UNITS + 1)
    control += slope * config.ccpes * ports / (OTHER_PORTS + GROUP_PORTS)
    return control + (config.pegs * config.scan * differences if config.lane is Lane.DIGIT else 0.0)


def _area(synthesiser: Synthesiser, config: MachineConfig) -> MachineArea:
    def around(one: MachineConfig) -> float:
        return size_of(synthesiser.block(one, "around", ("area",)))

    group = synthesiser.group(config, inside=False)
    vector, lane = (synthesiser.block(config, name, ("area",)) for name in ("vector", "vector_lane"))
    native, tiny = load_config("dense8").replace(pegs=1), load_config("tiny")
    digits = tiny.replace(lane="native", allocation="none", depth=4, scan=4, slots=4)
    differences = (around(tiny) - around(digits)) / tiny.scan
    control = scaled_control(config, around(native.replace(ccpes=2)), around(native.replace(ccpes=4)), differences)
    bits = config.pegs * group.blocks["control"].memory_bits + vector.memory_bits
    bits += 8 * config.line_bytes * config.buffers * config.buffer_lines
    return MachineArea(config.pegs * group.logic, size_of(vector) + config.lanes * size_of(lane), control,
                       LIBRARIES[LIBRARY].sram_um2_per_bit * bits, group.path_ps)


def measure(pdk: Path | None) -> None:
    """Synthesise and write the file; raises VidaError where the library is not found."""
    synthesiser = KeptSynthesiser(LIBRARY, pdk, print)
    lines = ["# um2 on ASAP7, longest path of a group in ps; written by `python -m flow.steps.machine_areas`."]
    for name in PRESETS:
        area = _area(synthesiser, load_config(name))
        lines += ["", f"[{name}]", *(f"{key} = {value:.1f}" for key, value in asdict(area).items())]
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    measure(Path(os.environ["VIDA_PDK"]) if "VIDA_PDK" in os.environ else None)
