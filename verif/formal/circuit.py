# SPDX-License-Identifier: Apache-2.0
"""Harnesses side by side in one circuit for the solver: most of a small question's time is the tools' start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib.wiring import Component, Flow


class Part(Protocol):
    """A harness that can stand beside others: its assertions are those of the module that it is built into."""

    def build(self, m: Module) -> list[Value]:
        """Add the block, its surroundings and what is to hold to `m`, domain `sync`; returns the free inputs."""


def free_inputs(component: Component) -> list[Value]:
    """Every input of a block."""
    return [Value.cast(value) for _, member, value in component.signature.flatten(component)
            if member.flow is Flow.In]


def circuit(parts: Iterable[Part]) -> str:
    """Parts under one clock, in RTLIL; the top module is `harness`, registers begin as after reset.

    A part's assumptions must leave its inputs some freedom in every state, or all parts would hold for nothing: the
    cover points of the parts that assume more than the rules of streams show that they do.
    """
    m, domain = Module(), ClockDomain("sync", reset_less=True)
    m.domains.sync = domain
    inputs = [domain.clk]
    for part in parts:
        inputs += part.build(m)
    return rtlil.convert(m, name="harness", ports=inputs, emit_src=False)
