# SPDX-License-Identifier: Apache-2.0
"""Area and critical path of a block by Yosys and ABC.

What the figures are: standard cells after mapping, buffering and sizing, without wires, clock tree, placement or
test. The critical path runs from a register's output or a port to a register's input or a port, without clock-to-output
and set-up times. Memories are not mapped: their bits are counted and taken by a stated model.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from amaranth.lib.wiring import Component

from hw.errors import VidaError
from hw.verilog import to_rtlil
from hw.yosys import run_yosys
from synth import liberty

#: Clock that sizing aims at, ps, by library; a block that does better keeps its smaller cells.
TARGET_PS = {"asap7": 1000, "sky130": 10_000, "sg13g2": 10_000}

#: Two-input NANDs that a generic gate is counted as, after the transistor count of static CMOS (4 for a NAND).
GATE_EQUIVALENTS = {
    "NOT": 0.5, "BUF": 1.0, "NAND": 1.0, "NOR": 1.0, "AND": 1.5, "OR": 1.5, "ANDNOT": 1.5, "ORNOT": 1.5,
    "XOR": 2.5, "XNOR": 2.5, "MUX": 2.5, "NMUX": 2.0, "AOI3": 1.5, "OAI3": 1.5, "AOI4": 2.0, "OAI4": 2.0, "DFF": 5.0}

#: ABC's mapping: for least area, or for delay with area recovered. The smaller netlist that meets the target is kept,
#: for the baseline as for any other.
RECIPES = {"area": "map -a", "speed": "&get -n; &dch -f; &nf -p; &put"}


@dataclass(frozen=True)
class Area:
    """One block on one library (None: gate equivalents only)."""

    block: str
    library: str | None
    gate_equivalents: float | None
    um2: float | None
    path_ps: float | None
    registers: int
    memory_bits: int
    recipe: str

    def as_dict(self) -> dict:
        """Plain values for JSON."""
        return asdict(self)


def synthesise(name: str, component: Component, library: str | None, pdk: str | Path | None = None,
               without: tuple[str, ...] = (), recipes: Iterable[str] = RECIPES) -> Area:
    """Map `component`; see `map_rtlil`."""
    text, top, _ports = to_rtlil(component)
    return map_rtlil(name, text, top, library, pdk, without, recipes)


def map_rtlil(name: str, text: str, top: str, library: str | None, pdk: str | Path | None = None,
              without: tuple[str, ...] = (), recipes: Iterable[str] = RECIPES) -> Area:
    """Map module `top` by each of `recipes` and give the smallest that meets the clock target, else the fastest.

    `without` names modules below it that are left out as black boxes; `library` None gives gate equivalents.
    Raises VidaError where the library is not found or Yosys fails.
    """
    files = liberty.find(library, pdk) if library else []
    with tempfile.TemporaryDirectory(prefix="vida-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(text)
        recipes = tuple(recipes) if library else ("area",)
        mapping = _mappings(library, files, work, recipes) if library else _GENERIC
        run_yosys(_front(top, without) + mapping, work, what=f"synthesising {name}")
        found = [_read(name, text, top, library, work, recipe) for recipe in recipes]
    if not library:
        return found[0]
    return min(found, key=lambda area: (max(0, (area.path_ps or 0) - TARGET_PS[library]), area.um2))


def together(name: str, found: Sequence[tuple[Area, int]]) -> Area:
    """Area of a block that consists of others, each `count` times; the longest path is that of one of them."""
    def total(field: str) -> float | None:
        values = [(getattr(area, field), count) for area, count in found]
        return None if any(value is None for value, _ in values) else sum(value * count for value, count in values)

    paths = [area.path_ps for area, _ in found if area.path_ps is not None]
    return replace(found[0][0], block=name, gate_equivalents=total("gate_equivalents"), um2=total("um2"),
                   path_ps=max(paths, default=None), registers=total("registers"), memory_bits=total("memory_bits"))


def _read(name: str, text: str, top: str, library: str | None, work: Path, recipe: str) -> Area:
    """What one recipe left in the folder."""
    log = (work / f"{recipe}.log").read_text(errors="replace")
    registers = sum(map(int, re.findall(r"^ +(\d+) +(?:[\d.eE+-]+ +)?\S*DFF", log, re.M)))
    return Area(name, library, None if library else _gates(log), _square(log, top) if library else None,
                _path(log) if library else None, registers, _memory_bits(text), recipe)


def _front(top: str, without: tuple[str, ...]) -> str:
    boxes = "\n".join(f"blackbox {module}" for module in without)
    return f"""read_rtlil design.il
hierarchy -top {top}
{boxes}
flatten
proc
opt
memory -nomap
opt_clean
wreduce
alumacc
share
opt
fsm
opt -fast
techmap
"""


_GENERIC = """dfflegalize -cell $_DFF_P_ 01
abc -g AND,NAND,OR,NOR,XOR,XNOR,MUX,AOI3,OAI3,AOI4,OAI4
opt_clean
tee -o area.log stat
"""


def _mappings(library: str, files: list[Path], work: Path, recipes: tuple[str, ...]) -> str:
    """Flip-flops, then the logic by each recipe; a copy of what all start from costs as much as cleaning it up."""
    flip_flops = f"dfflibmap {_cells(library, [liberty.outline(file) for file in files])}\nopt -fast\n"
    logic = [_mapping(library, files, work, recipe) for recipe in recipes]
    return flip_flops + (logic[0] if len(recipes) == 1 else
                         "design -save registers\n" + "".join(f"design -load registers\n{one}" for one in logic))


def _mapping(library: str, files: list[Path], work: Path, recipe: str) -> str:
    """Logic: map, buffer, size up to the target, size down what has slack."""
    target = TARGET_PS[library]
    (work / f"{recipe}.script").write_text(
        f"strash; dc2; {RECIPES[recipe]}; topo; buffer -c; "
        f"upsize -D {target}; dnsize -D {target}; stime -p\n")
    return f"""tee -o {recipe}.log abc {_cells(library, files)} -script {recipe}.script
tee -a {recipe}.log stat {" ".join(f"-liberty {liberty.outline(file)}" for file in files)}
"""


def _cells(library: str, files: list[Path]) -> str:
    """Options that name the library's files and the cells that are left alone."""
    cells = [f"-liberty {file}" for file in files]
    return " ".join(cells + [f"-dont_use {pattern}" for pattern in liberty.LIBRARIES[library].dont_use])


def _square(log: str, top: str) -> float:
    found = re.findall(r"Chip area for (?:top )?module '\\?\S+': ([\d.]+)", log)
    if not found:
        raise VidaError(f"synthesising {top}: Yosys printed no area")
    return float(found[-1])


def _path(log: str) -> float | None:
    """Of the last netlist that ABC timed; None where nothing is combinational."""
    found = re.findall(r"Delay = *([\d.]+) ps", log)
    return float(found[-1]) if found else None


def _gates(log: str) -> float:
    total = 0.0
    for count, cell in re.findall(r"^ +(\d+)(?: +[\d.eE+-]+)? +\$_([A-Z0-9]+)_", log.split("Printing statistics")[-1],
                                  re.M):
        total += int(count) * GATE_EQUIVALENTS[cell]
    return total


def _memory_bits(text: str) -> int:
    """Bits of all memories of the design, each module counted as often as it is instantiated from its parents."""
    modules = re.split(r"^module ", text, flags=re.M)[1:]
    own, below = {}, {}
    for module in modules:
        name = module.split()[0]
        own[name] = sum(int(width) * int(size)
                        for width, size in re.findall(r"^ +memory width (\d+) size (\d+)", module, re.M))
        below[name] = re.findall(r"^ +cell (\\\S+) ", module, re.M)
    top = modules[-1].split()[0]

    def bits(name: str) -> int:
        return own.get(name, 0) + sum(bits(child) for child in below.get(name, []) if child != name)

    return bits(top)
