# SPDX-License-Identifier: Apache-2.0
"""The top: all PE groups with their encoders and requantisers. The machine around them is not built yet."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, Out, Signature, connect, flipped

from hw.compute.group import Group, group_ports
from hw.config import MachineConfig


class Top(Component):
    """All groups of a configuration side by side, ports `peg<i>`.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    peg0, peg1, ...
        The ports of `Group`.

    Latency, throughput, numerics: as `Group`; the groups are independent until the routing controller exists.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({f"peg{n}": Out(Signature(group_ports(config))) for n in range(config.pegs)})

    def elaborate(self, platform):
        m = Module()
        for n in range(self._config.pegs):
            m.submodules[f"group_{n}"] = group = Group(self._config)
            connect(m, flipped(getattr(self, f"peg{n}")), group)
        return m
