# SPDX-License-Identifier: Apache-2.0
"""Decoder: which unit an instruction is for, and whether this machine allows it."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.control.isa import BYTES, FORMATS, Field, Opcode, layout
from hw.control.rules import Rule, limits, rules, steps


def units(config: MachineConfig) -> list[tuple[Opcode, int]]:
    """The machine's units, in the order of the queues: opcode that they serve, index."""
    return [(Opcode.LOAD, 0), (Opcode.STORE, 0), (Opcode.VECTOR, 0), *((Opcode.MATMUL, n) for n in range(config.pegs))]


class Decoder(Component):
    """Check every field of an instruction against the instruction set and this machine (`hw.control.rules`).

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    code : In(512)
    legal : Out(1), end : Out(1)
        Every bit is as it must be; it is an END.
    unit : Out
        One-hot among `units(config)`; 0 for an END or an illegal opcode.

    Latency: 0 cycles.
    """

    latency = 0

    def __init__(self, config: MachineConfig) -> None:
        self._config, self._units = config, units(config)
        super().__init__({"code": In(8 * BYTES), "legal": Out(1), "end": Out(1), "unit": Out(len(self._units))})

    def elaborate(self, platform):
        m = Module()
        known = {opcode: Signal(name=f"is_{opcode.name.lower()}") for opcode in FORMATS}
        fine = []
        for opcode, here in known.items():
            view = layout(opcode)(self.code)
            m.d.comb += here.eq(view.opcode == opcode.value)
            top = self._config.pegs - 1 if opcode is Opcode.MATMUL else 0
            checks = [_allowed(field, view[field.name], limits(self._config) | {"unit": top}, steps(self._config))
                      for field in FORMATS[opcode]]
            checks += [_obeys(rule, view) for rule in rules(self._config) if rule.opcode is opcode]
            checks += [view[name] == 0 for name, _ in layout(opcode) if name.startswith("zero_")]
            fine.append(here & reduce(and_, checks))
        m.d.comb += [self.legal.eq(Cat(fine).any()), self.end.eq(known[Opcode.END])]
        index = layout(Opcode.END)(self.code).unit
        m.d.comb += self.unit.eq(Cat(known[opcode] & (index == n) for opcode, n in self._units))
        return m


def _allowed(field: Field, value, high: dict[str, int], multiples: dict[str, int]):
    """Whether a field's bits are allowed."""
    if field.kind:
        return Cat(value == member.value for member in field.members).any()
    last, step = min(field.last, high.get(field.name, field.last)), max(field.step, multiples.get(field.name, 1))
    checks = [value >= field.low] if field.low else []
    checks += [value <= last] if last < (1 << field.bits) - 1 else []
    checks += [value[:exact_log2(step)] == 0] if step > 1 else []
    return reduce(and_, checks, Const(1))


def _obeys(rule: Rule, view):
    """Whether an instruction does what a rule asks for."""
    total = sum(view[name] for name in rule.others)
    checks = [total >= rule.low] if rule.low else []
    checks += [total <= rule.high] if rule.high is not None else []
    checks += [total[0]] if rule.odd else []
    return reduce(and_, checks) | ~Cat(view[rule.field] == value for value in rule.values).any()
