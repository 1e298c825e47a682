# SPDX-License-Identifier: Apache-2.0
"""What a step of the main job is computed from: the modules that it imports, directly or not, and files of data."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from flow.explore.kept import meaning

ROOT = Path(__file__).parent.parent
#: Of files that are read, not imported.
_DATA = (".cpp", ".toml", ".safetensors", ".json")


def modules(name: str) -> list[Path]:
    """The project's files behind module `name`: its own, its packages', and those of every module that these import."""
    found: set[Path] = set()
    waiting = [name]
    while waiting:
        for file in _files(waiting.pop()):
            if file not in found:
                found.add(file)
                waiting += _known(file, file.stat().st_mtime_ns)[1]
    return sorted(found)


def _files(name: str) -> Iterator[Path]:
    """Of a module and the packages it is in; none for what is not the project's."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        place = ROOT.joinpath(*parts[:count])
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file


@lru_cache(maxsize=4096)
def _known(file: Path, _changed: int) -> tuple[str, list[str]]:
    """What a file does, and the modules that it may import."""
    source = file.read_text(encoding="utf-8")
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # What is imported from a package may be a module of it.
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return meaning(source), names


def digest(module: str, folders: Iterable[str]) -> str:
    """Of what the modules behind `module` do, comments and layout left out, and of the data in `folders`."""
    state = hashlib.sha256()
    for file in modules(module):
        state.update(f"{file.relative_to(ROOT)}\n{_known(file, file.stat().st_mtime_ns)[0]}\n".encode())
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in _DATA and file.is_file():
                state.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return state.hexdigest()
