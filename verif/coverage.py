# SPDX-License-Identifier: Apache-2.0
"""Line coverage from Verilator's `coverage.dat`, merged over runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hw.errors import VidaError

_ENTRY = re.compile(r"C '(.*)' (\d+)$")


@dataclass(frozen=True)
class LineCoverage:
    """Lines of one module: `hit` of `total` were executed; `missed` are line numbers of the Verilog."""

    module: str
    hit: int
    total: int
    missed: tuple[int, ...]


def line_coverage(files: Iterable[Path]) -> list[LineCoverage]:
    """Line coverage of each module over all runs: a line counts once however many instances it has.

    Raises VidaError for a file that is not Verilator's.
    """
    lines: dict[tuple[str, int], bool] = {}
    for file in files:
        text = Path(file).read_text(errors="replace")
        if not text.startswith("# SystemC::Coverage"):
            raise VidaError(f"{file} is no coverage.dat of Verilator")
        for entry in text.splitlines():
            match = _ENTRY.match(entry)
            if not match:
                continue
            fields = dict(part.split("\x02", 1) for part in match[1].split("\x01") if "\x02" in part)
            kind, _, module = fields["page"].partition("/")
            if kind == "v_line":
                for line in _lines(fields):
                    lines[module, line] = lines.get((module, line), False) or int(match[2]) > 0
    modules = sorted({module for module, _ in lines})
    return [_of_module(module, {line: hit for (name, line), hit in lines.items() if name == module})
            for module in modules]


def _lines(fields: dict[str, str]) -> list[int]:
    """Line numbers of an entry: `S` lists them ("12,14-16") where it covers more than its own."""
    numbers = []
    for part in fields.get("S", fields["l"]).split(","):
        low, _, high = part.partition("-")
        numbers += range(int(low), int(high or low) + 1)
    return numbers


def _of_module(module: str, lines: dict[int, bool]) -> LineCoverage:
    missed = tuple(sorted(line for line, hit in lines.items() if not hit))
    return LineCoverage(module, len(lines) - len(missed), len(lines), missed)
