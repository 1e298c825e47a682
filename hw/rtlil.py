# SPDX-License-Identifier: Apache-2.0
"""RTLIL text by modules: what each instantiates, and one of them with all that it needs."""

from __future__ import annotations

import re
from collections.abc import Collection

_CELL = re.compile(r"^ +cell (\\\S+) ", re.M)
_NAMED = re.compile(r"^(module |  +cell )(\\\S+)", re.M)
_PORT = re.compile(r"^  wire .*(?:input|output|inout) \d+ .*\n", re.M)


class Modules:
    """The modules of `text`, as `hw.verilog.to_rtlil` writes them: children before parents.

    Names are those of Verilog, without RTLIL's backslash. Raises KeyError for an unknown one.
    """

    def __init__(self, text: str) -> None:
        found = re.findall(r"^module \\(\S+)\n(.*?)^end$", text, re.M | re.S)
        self._text = {name: f"module \\{name}\n{body}end\n" for name, body in found}
        self._children = {name: [cell[1:] for cell in _CELL.findall(part) if cell[1:] in self._text]
                          for name, part in self._text.items()}

    def children(self, name: str) -> list[str]:
        """Modules that `name` instantiates, each as often as it does."""
        return self._children[name]

    def part(self, name: str, without: Collection[str] = ()) -> tuple[str, str]:
        """RTLIL of `name` and what is below it, and the name that it has there.

        Of the modules `without` there are the ports only, as black boxes. Numbers in the names count within the part:
        equal parts of two designs are equal texts.
        """
        order: dict[str, None] = {}
        self._collect(name, without, order)
        names = _renumbered(order)
        texts = (_box(self._text[one]) if one in without and one != name else self._text[one] for one in order)
        text = "\n".join(_NAMED.sub(lambda at: at[1] + "\\" + names.get(at[2][1:], at[2][1:]), one) for one in texts)
        return text, names[name]

    def _collect(self, name: str, without: Collection[str], order: dict[str, None]) -> None:
        """Add `name` behind all below it, in the order of their first instances."""
        for child in self._children[name]:
            if child not in order:
                if child in without:
                    order[child] = None
                else:
                    self._collect(child, without, order)
        order[name] = None


def _renumbered(order: Collection[str]) -> dict[str, str]:
    """Name -> class with a number of its own from the second on; what lies inside a block keeps its parent's."""
    names: dict[str, str] = {}
    count: dict[str, int] = {}
    for name in (one for one in order if "." not in one):
        kind = re.sub(r"_\d+$", "", name)
        count[kind] = count.get(kind, 0) + 1
        names[name] = kind if count[kind] == 1 else f"{kind}_{count[kind]}"
    for name in (one for one in order if "." in one):
        parent, _, rest = name.partition(".")
        names[name] = f"{names.get(parent, parent)}.{rest}"
    return names


def _box(text: str) -> str:
    head = text.partition("\n")[0]
    return f"attribute \\blackbox 1\n{head}\n{''.join(_PORT.findall(text))}end\n"
