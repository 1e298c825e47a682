# SPDX-License-Identifier: Apache-2.0
"""A machine's RTLIL and Verilog, made once for simulators, line coverage and synthesis.

Converting a machine takes seconds to half a minute. Texts are kept in the build folder by configuration, sources and
generators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from hw.config import MachineConfig
from hw.machine import Machine
from hw.sources import SOURCES
from hw.verilog import to_rtlil, verilog_of
from hw.workspace import build_folder, kept_text

#: The top module.
TOP = "machine"


def machine_rtlil(config: MachineConfig) -> str:
    """RTLIL of the whole machine, top module `TOP`; raises VidaError where `config` makes none."""
    return _kept(config, "il", lambda: to_rtlil(Machine(config), TOP)[0])


def machine_verilog(config: MachineConfig) -> str:
    """Verilog of the same; raises VidaError where Yosys is missing or fails, too."""
    return _kept(config, "v", lambda: verilog_of(machine_rtlil(config), TOP))


def _kept(config: MachineConfig, suffix: str, make: Callable[[], str]) -> str:
    digest = hashlib.sha256(f"{SOURCES} {config.digest()}".encode()).hexdigest()[:20]
    return kept_text(build_folder("converted") / f"{config.name}-{digest}.{suffix}", make)
