# SPDX-License-Identifier: Apache-2.0
"""Registers inside a block, by the names of its own code, for invariants: the hardware itself holds no assertion."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from amaranth.hdl import Elaboratable, Fragment
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component

from hw.vector.row_queue import RowQueue

#: Amaranth's own queues, of which the machine has one kind.
QUEUES = "amaranth.lib.fifo"
#: The memory of each queue that has one, by the name in its code.
MEMORIES = {SyncFIFOBuffered: "storage", RowQueue: "entries"}


class Probe(Elaboratable):
    """A component, elaborated here and once, with the local variables of the methods that did it.

    Most registers live only in `elaborate`: a debugger's view of it is what leaves the block as it is. Add the probe
    to a module in the component's place.

    Parameters
    ----------
    component : Component, or one of Amaranth's queues
    spies : bool
        Give every queue in a memory two more read ports, for invariants: what lies at an address (`spies`).
    """

    def __init__(self, component: Elaboratable, spies: bool = False) -> None:
        self._component, self._spies = component, spies
        self._variables: dict[int, dict[str, Any]] = {}
        self._found: dict[int, Elaboratable] = {}
        outer = sys.getprofile()
        sys.setprofile(self._record)
        try:
            self._fragment = Fragment.get(component, None)
        finally:
            sys.setprofile(outer)

    def _record(self, frame: FrameType, event: str, _argument: Any) -> None:
        # Only methods of blocks: reading variables is slow, and Amaranth's own values have methods too.
        module = frame.f_globals.get("__name__", "")
        if (event == "return" and (module.startswith("hw.") or module == QUEUES)
                and frame.f_code.co_varnames[:1] == ("self",)):
            owner = frame.f_locals["self"]
            if isinstance(owner, Component | SyncFIFOBuffered):
                self._found[id(owner)] = owner
                known = self._variables.setdefault(id(owner), {})
                known.update(frame.f_locals)
                memory = known.get(MEMORIES.get(type(owner), ""))
                if self._spies and memory is not None:
                    known["spies"] = [memory.read_port(domain="comb") for _ in range(2)]

    def elaborate(self, platform):
        """The component's own circuit."""
        return self._fragment

    def __getitem__(self, name: str) -> Any:
        """A local variable of the component; where several methods have it, that of the last to end."""
        return self.of(self._component)[name]

    def of(self, component: Elaboratable) -> dict[str, Any]:
        """The local variables of a component below."""
        return self._variables[id(component)]

    def blocks(self, kind: type) -> Iterator[tuple[Elaboratable, dict[str, Any]]]:
        """Every component of a kind, itself and below, with its local variables."""
        return ((found, self._variables[key]) for key, found in self._found.items() if isinstance(found, kind))
