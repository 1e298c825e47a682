# SPDX-License-Identifier: Apache-2.0
"""A configuration becomes Verilog and a manifest. The same configuration gives the same bytes on any machine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hw.config import MachineConfig
from hw.control import isa_text, register_map
from hw.control.usage import counter_bits
from hw.machine import Machine, check
from hw.ports import Port
from hw.verilog import to_verilog
from hw.version import VERSION
from hw.workspace import written_whole

#: Version of the manifest's fields; a reader refuses another one.
MANIFEST_FORMAT = 1


@dataclass(frozen=True)
class Generated:
    """What was written: the two files, and how many modules the Verilog has."""

    verilog: Path
    manifest: Path
    modules: int


def generate(config: MachineConfig, folder: Path) -> Generated:
    """Write `<name>.v`, `manifest.json` and C headers of `config` into `folder`; all whole, or none.

    Raises VidaError where the configuration makes no machine, the folder cannot be written or Yosys is missing.
    """
    folder = Path(folder)
    # First, so that an unwritable folder is told at once, not after the work.
    with written_whole(folder) as staging:
        text, ports = verilog_text(config)
        name = f"{config.name}.v"
        (staging / name).write_text(text)
        (staging / "manifest.json").write_text(manifest(config, name, text, ports))
        for header, content in headers(config).items():
            (staging / header).write_text(content)
    return Generated(folder / name, folder / "manifest.json", text.count("\nendmodule"))


def verilog_text(config: MachineConfig) -> tuple[str, list[Port]]:
    """Verilog of the whole top, `vida_<name>`, with its header; and the top's ports."""
    check(config)       # before a machine is made, for one that is made and not used is a fault of its own
    text, ports = to_verilog(Machine(config), f"vida_{config.name}")
    return _HEADER.format(version=VERSION, name=config.name, digest=config.digest()) + text, ports


_HEADER = """\
// SPDX-License-Identifier: CC0-1.0
// Written by vida {version}, which claims no rights in its output: this file is yours.
// Configuration {name}, digest {digest}
// One clock `clk`, synchronous active-high reset `rst`. manifest.json beside this file describes the ports.

"""


def headers(config: MachineConfig) -> dict[str, str]:
    """C headers for software, by file: the instruction set, and the registers with this machine's counters."""
    return {"vida_isa.h": isa_text.c_header(), "vida_registers.h": register_map.c_header(counter_bits(config))}


def manifest(config: MachineConfig, file: str, text: str, ports: list[Port]) -> str:
    """JSON for tools and software: configuration, ports with the layout of their elements, hash of the Verilog."""
    return json.dumps({
        "format": MANIFEST_FORMAT, "vida": VERSION, "top": f"vida_{config.name}", "verilog": file,
        "headers": list(headers(config)),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "configuration": config.model_dump(mode="json"), "configuration_sha256": config.digest(),
        "clock": "clk", "reset": {"name": "rst", "active": "high", "synchronous": True},
        "ports": [port.describe() for port in ports]}, indent=1) + "\n"
