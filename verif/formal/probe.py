# SPDX-License-Identifier: Apache-2.0
"""Registers inside a block, by the names of its own code, for invariants: the hardware itself holds no assertion."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from amaranth.hdl import Elaboratable, Fragment
from amaranth.lib.wiring import Component


class Probe(Elaboratable):
    """A component, elaborated here and once, with the local variables of the methods that did it.

    Most registers live only in `elaborate`: a debugger's view of it is what leaves the block as it is. Add the probe
    to a module in the component's place.

    Parameters
    ----------
    component : Component
    """

    def __init__(self, component: Component) -> None:
        self._component = component
        self._variables: dict[int, dict[str, Any]] = {}
        outer = sys.getprofile()
        sys.setprofile(self._record)
        try:
            self._fragment = Fragment.get(component, None)
        finally:
            sys.setprofile(outer)

    def _record(self, frame: FrameType, event: str, _argument: Any) -> None:
        # Only methods of blocks: reading variables is slow, and Amaranth's own values have methods too.
        if (event == "return" and frame.f_globals.get("__name__", "").startswith("hw.")
                and frame.f_code.co_varnames[:1] == ("self",)):
            owner = frame.f_locals["self"]
            if isinstance(owner, Component):
                self._variables.setdefault(id(owner), {}).update(frame.f_locals)

    def elaborate(self, platform):
        """The component's own circuit."""
        return self._fragment

    def __getitem__(self, name: str) -> Any:
        """A local variable of the component; where several methods have it, that of the last to end."""
        return self.of(self._component)[name]

    def of(self, component: Component) -> dict[str, Any]:
        """The local variables of a component below."""
        return self._variables[id(component)]
