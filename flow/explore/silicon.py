# SPDX-License-Identifier: Apache-2.0
"""Synthesis that maps a block once, whatever else changes around it.

`python -m flow.explore.silicon` measures the machines of the space `chosen` and of the main job again where needed and
writes `mapped.json`, the figures that come with the project.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flow.explore.kept import digest_of, kept_path, read_kept, sources_digest, write_kept
from hw.config import MachineConfig
from hw.errors import VidaError
from hw.verilog import to_rtlil
from synth import liberty
from synth.area import RECIPES, Area
from synth.blocks import blocks
from synth.group import Synthesiser

#: Figures that come with the project, so that the main job need not map for half an hour what has not changed.
MAPPED = Path(__file__).with_name("mapped.json")
FORMAT = 1
_MAPPING = sources_digest("synth/area.py", "synth/liberty.py", "hw/yosys.py") + version("pyosys")


class KeptSynthesiser(Synthesiser):
    """A synthesiser that keeps each block's figures under its RTLIL, the libraries, Yosys and the mapping script.

    A block that several configurations or several steps of the main job share is mapped once, and a change elsewhere
    in the sources does not map it again. Figures in `mapped.json` are taken where all of that is still the same.
    """

    def __init__(self, library: str | None, pdk: str | Path | None = None,
                 progress: Callable[[str], None] = lambda text: None) -> None:
        super().__init__(library, pdk, progress)
        self._libraries = library_digest(library, pdk)
        #: Figures of every block that was asked for, by digest.
        self.used: dict[str, dict[str, Any]] = {}

    def block(self, config: MachineConfig, name: str, recipes: tuple[str, ...] = tuple(RECIPES)) -> Area:
        """One block of `config`, kept or mapped now."""
        block = blocks(config)[name]
        text, top, _ = to_rtlil(block.make())
        digest = digest_of(_MAPPING, self._libraries, name, top, block.without, recipes, text)
        path = kept_path("blocks", digest)
        found = read_kept(path) or shipped().get(digest)
        if found is None:
            found = super().block(config, name, recipes).as_dict()
            write_kept(path, found)
        self.used[digest] = found
        return Area(**found)


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """Digest -> figures of `mapped.json`; raises VidaError where it is of another format."""
    if not MAPPED.exists():
        return {}
    content = json.loads(MAPPED.read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        raise VidaError(f"{MAPPED} has format {content.get('format')}, only format {FORMAT} is read")
    return content["blocks"]


@lru_cache(maxsize=8)
def library_digest(library: str | None, pdk: str | Path | None) -> str:
    """Of the library's Liberty files; raises VidaError where they are not found."""
    if library is None:
        return "gate equivalents"
    return digest_of(library, [hashlib.sha256(file.read_bytes()).hexdigest() for file in liberty.find(library, pdk)])


def main() -> None:
    """Measure what is not kept, and write `mapped.json`."""
    from flow.explore.space import configurations, load_space
    from verif.measure import machines
    configs = [(machine.config, False) for machine in configurations(load_space("chosen")).machines]
    configs += [(config, True) for config in machines().values()]
    used = {}
    for library in (None, *(name for name in liberty.available() if name == "asap7")):
        synthesiser = KeptSynthesiser(library, None, print)
        for config, inside in configs:
            synthesiser.group(config, inside)
        used |= synthesiser.used
    lines = ",\n".join(f'"{digest}": {json.dumps(used[digest])}' for digest in sorted(used))
    MAPPED.write_text(f'{{"format": {FORMAT}, "blocks": {{\n{lines}\n}}}}\n', encoding="utf-8")
    print(f"{MAPPED}: {len(used)} blocks")


if __name__ == "__main__":
    main()
