# SPDX-License-Identifier: Apache-2.0
"""Synthesis that maps a block once, whatever else changes around it."""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from flow.explore.kept import digest_of, kept_path, read_kept, sources_digest, write_kept
from hw.config import MachineConfig
from synth import liberty
from synth.area import RECIPES, Area
from synth.group import Synthesiser

_MAPPING = sources_digest("synth/area.py", "synth/liberty.py", "hw/yosys.py") + version("pyosys")
_SOURCES = sources_digest("hw/**/*.py", "synth/*.py") + version("amaranth") + version("pyosys")


class KeptSynthesiser(Synthesiser):
    """A synthesiser that keeps each block's figures under its RTLIL, the libraries, Yosys and the mapping script.

    A block that several configurations or several steps of the main job share is mapped once, and a change elsewhere
    in the sources does not map it again. While no source changes, what another process asked for before is not even
    converted to RTLIL.
    """

    def __init__(self, library: str | None, pdk: str | Path | None = None,
                 progress: Callable[[str], None] = lambda text: None) -> None:
        super().__init__(library, pdk, progress)
        self._libraries = library_digest(library, pdk)

    def block(self, config: MachineConfig, name: str, recipes: tuple[str, ...] = tuple(RECIPES)) -> Area:
        """As `Synthesiser.block`."""
        path = kept_path("asked", digest_of(_SOURCES, self._libraries, name, self._matters(config, name), recipes))
        found = read_kept(path)
        if found is None:
            found = super().block(config, name, recipes).as_dict()
            write_kept(path, found)
        return Area(**found)

    def _mapped(self, name: str, text: str, top: str, without: tuple[str, ...], recipes: tuple[str, ...]) -> Area:
        path = kept_path("blocks", digest_of(_MAPPING, self._libraries, name, top, recipes, _outside(text, without)))
        with open(path.with_suffix(".lock"), "w") as lock:
            # Two processes that want the same block map it once.
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = read_kept(path)
            if found is None:
                found = super()._mapped(name, text, top, without, recipes).as_dict()
                write_kept(path, found)
        return Area(**found)


def _outside(text: str, without: tuple[str, ...]) -> str:
    """RTLIL of which the modules `without`, black boxes to the mapping, have kept their ports only."""
    parts = re.split(r"^(?=module )", text, flags=re.M)
    boxes = {f"module \\{name}" for name in without}
    return "".join("\n".join(line for line in part.splitlines() if re.match(r"module |end|  wire .*(in|out)put ", line))
                   if part.partition("\n")[0] in boxes else part for part in parts)


@lru_cache(maxsize=8)
def library_digest(library: str | None, pdk: str | Path | None) -> str:
    """Of the library's Liberty files; raises VidaError where they are not found."""
    if library is None:
        return "gate equivalents"
    return digest_of(library, [hashlib.sha256(file.read_bytes()).hexdigest() for file in liberty.find(library, pdk)])
