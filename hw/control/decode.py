# SPDX-License-Identifier: Apache-2.0
"""Decoder: which unit an instruction is for, and whether this machine allows it."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.config import Lane, MachineConfig
from hw.control.isa import BYTES, FORMATS, ROW_SUMS, Field, Opcode, layout

#: Fields that hold a line address of the buffer.
PLACES = {"buffer", "table", "current", "reference", "right", "init_address", "scale", "accumulators", "int8", "x", "y",
          "out", "u", "v"}


def units(config: MachineConfig) -> list[tuple[Opcode, int]]:
    """The machine's units, in the order of the queues: opcode that they serve, index."""
    return [(Opcode.LOAD, 0), (Opcode.STORE, 0), (Opcode.VECTOR, 0), *((Opcode.MATMUL, n) for n in range(config.pegs))]


def limits(config: MachineConfig) -> dict[str, int]:
    """Highest values that this machine allows in a field, where they are below the instruction set's."""
    lines = config.buffers * config.buffer_lines
    found = {name: lines - 1 for name in PLACES}
    found |= {"k": config.right_rows, "right_word": config.ccpes - 1, "left_word": config.ccpes - 1,
              "sums": ROW_SUMS - 1}
    if config.lane is Lane.NATIVE:
        found["use_reference"] = 0
    return found


class Decoder(Component):
    """Check every field of an instruction against the instruction set and this machine.

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
            checks = [_allowed(field, view[field.name], limits(self._config) | {"unit": top})
                      for field in FORMATS[opcode]]
            checks += [view[name] == 0 for name, _ in layout(opcode) if name.startswith("zero_")]
            fine.append(here & reduce(and_, checks))
        m.d.comb += [self.legal.eq(Cat(fine).any()), self.end.eq(known[Opcode.END])]
        index = layout(Opcode.END)(self.code).unit
        m.d.comb += self.unit.eq(Cat(known[opcode] & (index == n) for opcode, n in self._units))
        return m


def _allowed(field: Field, value, high: dict[str, int]):
    """Whether a field's bits are allowed."""
    if field.kind:
        return Cat(value == member.value for member in field.kind).any()
    last = min(field.last, high.get(field.name, field.last))
    fine = (value >= field.low) & (value <= last)
    return fine & (value[:field.step.bit_length() - 1] == 0) if field.step > 1 else fine
