# SPDX-License-Identifier: Apache-2.0
"""A second reset for one component, which the Verilog writer keeps as a module of its own."""

from __future__ import annotations

from amaranth.hdl import Elaboratable, Fragment, ResetInserter, Value
from amaranth.lib.wiring import Component


class Restart(Elaboratable):
    """Reset a component, and all below it, where `reset` is high, beside the reset of the clock domain.

    Parameters
    ----------
    component : Component
    reset : Value

    Attributes
    ----------
    plain : Fragment
        The component as elaborated, without that reset: for writers that connect it to the module's reset port.
    """

    def __init__(self, component: Component, reset: Value) -> None:
        self.component, self.reset = component, reset

    def elaborate(self, platform):
        self.plain = Fragment.get(self.component, platform)
        return ResetInserter(self.reset)(self.plain)
