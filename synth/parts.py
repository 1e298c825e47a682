# SPDX-License-Identifier: Apache-2.0
"""A large block as parts that are mapped by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hw.rtlil import Modules
from synth.blocks import Block


def parts(modules: Modules, block: Block) -> Counter[tuple[str, str]]:
    """(RTLIL, top) of each distinct part -> how often the block holds it: what is apart, and all the rest as one."""
    found: Counter[tuple[str, str]] = Counter()
    _collect(modules, block, block.top, found)
    return found


def _collect(modules: Modules, block: Block, name: str, found: Counter[tuple[str, str]]) -> None:
    found[modules.part(name, {*block.without, *block.apart})] += 1
    for inner in _apart(modules, block, name):
        _collect(modules, block, inner, found)


def _apart(modules: Modules, block: Block, name: str) -> Iterator[str]:
    """What is apart below `name`, each as often as it is there, but not what is inside of it."""
    for child in modules.children(name):
        if child in block.apart:
            yield child
        elif child not in block.without:
            yield from _apart(modules, block, child)
