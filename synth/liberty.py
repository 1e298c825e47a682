# SPDX-License-Identifier: Apache-2.0
"""The one place that finds standard-cell libraries: Liberty files in a folder that the user names."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hw.errors import VidaError
from hw.workspace import build_folder


@dataclass(frozen=True)
class Library:
    """A process: the beginning of its files' names, and what must be known to map onto it.

    `dont_use`: cell patterns that mapping leaves alone (odd strengths, scan flip-flops, clock gates).
    `sram_um2_per_bit`: model of a memory macro, calibrated on published macros; None where there is no figure.
    """

    name: str
    prefix: str
    dont_use: tuple[str, ...] = ()
    sram_um2_per_bit: float | None = None


LIBRARIES = {library.name: library for library in (
    Library("asap7", "asap7", ("*x1p*", "*xp*", "SDF*", "ICG*"), 0.042),
    Library("sky130", "sky130", ("*__sdf*", "*__edf*", "*__dlclk*", "*__lpflow*", "*__probe*"), 22.0),
    Library("sg13g2", "sg13g2", ("*_sdf*", "*_lgcp*", "*_slgcp*"), None),
)}


def find(name: str, folder: str | Path | None = None) -> list[Path]:
    """Plain Liberty files of the library `name`, those packed by gzip unpacked into the build folder.

    `folder` defaults to $VIDA_PDK. Raises VidaError for an unknown library, a missing folder, or no file in it.
    """
    if name not in LIBRARIES:
        raise VidaError(f"unknown library {name!r}: known are {', '.join(LIBRARIES)}")
    folder = Path(folder or os.environ.get("VIDA_PDK") or "")
    if not str(folder) or not folder.is_dir() or folder == Path(""):
        raise VidaError(f"no Liberty folder: give --pdk DIR or set VIDA_PDK (got {str(folder) or 'nothing'!r})")
    prefix = LIBRARIES[name].prefix
    files = sorted(file for file in folder.iterdir()
                   if file.name.startswith(prefix) and file.name.endswith((".lib", ".lib.gz")))
    if not files:
        raise VidaError(f"no Liberty file {prefix}*.lib or {prefix}*.lib.gz in {folder}")
    return [_plain(file) for file in files]


def available(folder: str | Path | None = None) -> list[str]:
    """Names of the libraries whose files `folder` (default $VIDA_PDK) holds; empty without a folder."""
    names = []
    for name in LIBRARIES:
        try:
            find(name, folder)
        except VidaError:
            continue
        names.append(name)
    return names


def outline(file: Path) -> Path:
    """A kept copy of a plain Liberty file without timing and power: a fiftieth, enough for areas and flip-flops.

    Raises VidaError, naming the file, where it is no whole `library (...) { ... }`.
    """
    return _kept(file, f"outline-{file.name}", lambda: _without_tables(_whole(file)).encode())


def _whole(file: Path) -> str:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise VidaError(f"Liberty file {file}: cannot be read: {error}") from error
    braces = [mark[0][-1] for mark in _MARK.finditer(text) if mark[0][-1] in "{}"]
    if not re.search(r"\blibrary\s*\(", text) or not braces or braces.count("{") != braces.count("}"):
        raise VidaError(f"Liberty file {file}: not a whole library (...) {{ ... }}: {braces.count('{')} braces open, "
                        f"{braces.count('}')} close")
    return text


#: What is left out; strings and comments may hold braces.
_MARK = re.compile(r'"[^"]*"|/\*.*?\*/|\b(?:timing|internal_power|leakage_power)\s*\([^)]*\)\s*\{|[{}]', re.S)


def _without_tables(text: str) -> str:
    kept, start, depth, left_out = [], 0, 0, None
    for mark in _MARK.finditer(text):
        if mark[0] == "}":
            depth -= 1
            if depth == left_out:
                start, left_out = mark.end(), None
        elif mark[0].endswith("{"):
            if mark[0] != "{" and left_out is None:
                kept.append(text[start:mark.start()])
                left_out = depth
            depth += 1
    return "".join([*kept, text[start:]])


def _plain(file: Path) -> Path:
    """`file` itself, or an unpacked copy that is kept as long as the packed one does not change."""
    if file.suffix != ".gz":
        return file.absolute()
    try:
        return _kept(file, file.stem, lambda: gzip.decompress(file.read_bytes()))
    except (OSError, EOFError) as error:
        raise VidaError(f"Liberty file {file}: cannot be unpacked: {error}") from error


def _kept(file: Path, name: str, content: Callable[[], bytes]) -> Path:
    """A copy in the build folder that is made again when `file` has changed."""
    facts = file.stat()
    kept = build_folder("tools", "liberty") / f"{facts.st_size}-{int(facts.st_mtime)}-{name}"
    if not kept.exists():
        part = kept.with_suffix(f".{os.getpid()}.part")      # two processes may make it at the same time
        part.write_bytes(content())
        part.replace(kept)
    return kept
