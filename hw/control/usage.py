# SPDX-License-Identifier: Apache-2.0
"""Counters of the whole machine: how long each unit had work, and what crossed the memory's bus."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import MachineConfig
from hw.control.counters import COUNTER_BITS, COUNTERS, CounterValues
from hw.control.decode import units
from hw.control.isa import Opcode


def unit_names(config: MachineConfig) -> list[str]:
    """The units in the order of the queues: load, store, vector, peg0, peg1, ..."""
    return [f"peg{n}" if opcode is Opcode.MATMUL else opcode.name.lower() for opcode, n in units(config)]


def counter_bits(config: MachineConfig) -> dict[str, int]:
    """Name and bits of every counter, in the order of the registers.

    `bus_read`, `bus_written`: beats; `<unit>_busy`: cycles in which an instruction of the unit was under way;
    `<unit>_done`: instructions completed; `peg<n>_<name>` as in `hw.control.counters.COUNTERS`.
    """
    names = ["bus_read", "bus_written"]
    names += [f"{unit}_{what}" for unit in unit_names(config) for what in ("busy", "done")]
    names += [f"peg{n}_{name}" for n in range(config.pegs) for name in COUNTERS]
    return dict.fromkeys(names, COUNTER_BITS)


class Usage(Component):
    """Count since `clear`.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    clear : In(1)
    busy, done : In
        By unit.
    read, written : In(1)
        A beat of the memory's bus moves.
    groups : In(array of CounterValues)
        The PEGs' own.
    values : Out(struct)
        Every counter by its name.

    Latency: 2 cycles. Numerics: modulo 2^32.
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        self._config, self._names = config, unit_names(config)
        super().__init__({
            "clear": In(1), "busy": In(len(self._names)), "done": In(len(self._names)), "read": In(1), "written": In(1),
            "groups": In(data.ArrayLayout(CounterValues, config.pegs)),
            "values": Out(data.StructLayout(counter_bits(config)))})

    def elaborate(self, platform):
        m = Module()
        names = ["bus_read", "bus_written", *(f"{name}_{what}" for what in ("busy", "done") for name in self._names)]
        events = Signal(len(names))
        m.d.sync += events.eq(Cat(self.read, self.written, self.busy, self.done))
        for n, name in enumerate(names):
            value = self.values[name]
            m.d.sync += value.eq(value + events[n])
            with m.If(self.clear):
                m.d.sync += value.eq(0)
        for n in range(self._config.pegs):
            m.d.comb += [self.values[f"peg{n}_{name}"].eq(self.groups[n][name]) for name in COUNTERS]
        return m
