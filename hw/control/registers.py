# SPDX-License-Identifier: Apache-2.0
"""The machine as its host sees it: registers, start and stop, interrupt."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.control.axi_lite import AxiLite, axi_lite_signature
from hw.control.fault import ADDRESS_BITS, Fault, FaultKind
from hw.control.fetch import LENGTH_BITS
from hw.control.isa import BYTES
from hw.control.register_map import REGISTERS, SPACE, counter_registers

#: Bits of an instruction's tag, and of the counter of cycles.
TAG_BITS, CYCLE_BITS = 16, 64


class Registers(Component):
    """Registers of `register_map` on an AXI4-Lite bus, and what they say of a program's course.

    A program runs from `start` until it is finished, or has met a fault or a clear and got `stop`, and the machine is
    idle: so the next start finds it ready.

    Parameters
    ----------
    counters : Mapping[str, int]
        Name and bits of each counter that can be read, in order.

    Members
    -------
    bus : In(axi_lite_signature)
    start : Out(1), address : Out(64), length : Out(32)
        A pulse: run the program of `length` instructions at `address`, a multiple of 64.
    stop : Out(1), clear : Out(1)
        Come to rest; a pulse: forget faults. `stop` stays from a fault to its clear.
    finished : In(1), idle : In(1)
        The program came to its END; nothing is under way.
    fault : In(Fault), tag : In(16)
        The first one while running is kept, with its instruction's tag. In the cycle of `start`, `finished` and
        `fault` may still be those of the last program.
    counters : In(struct of the counters)
        Present where there are any.
    interrupt : Out(1)
        Level.

    Latency: 1 cycle from AR to R, 2 from AW and W to B, 3 to start. Throughput: as of `AxiLite`.
    """

    latency = 3

    def __init__(self, counters: Mapping[str, int]) -> None:
        self._counters = tuple(counters.items())
        counter_registers(counters)
        members = {
            "bus": In(axi_lite_signature(exact_log2(SPACE))), "start": Out(1), "address": Out(ADDRESS_BITS),
            "length": Out(LENGTH_BITS), "stop": Out(1), "clear": Out(1), "finished": In(1), "idle": In(1),
            "fault": In(Fault), "tag": In(TAG_BITS), "interrupt": Out(1)}
        if counters:
            members["counters"] = In(data.StructLayout(dict(counters)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.lite = lite = AxiLite(exact_log2(SPACE))
        connect(m, flipped(self.bus), lite.bus)
        kept, tag, cycles = Signal(Fault), Signal(TAG_BITS), Signal(CYCLE_BITS)
        status = Signal(data.StructLayout({"running": 1, "done": 1, "refused": 1}))
        control, low, high = Signal(3), Signal(32), Signal(32)
        commanded = self._write(m, lite, {
            "control": control, "program_low": low, "program_high": high, "length": self.length})
        aligned = exact_log2(BYTES)
        m.d.comb += [
            self.address.eq(Cat(C(0, aligned), low[aligned:], high)),
            self.interrupt.eq(control[2] & ~status.running & (status.done | (kept.kind != FaultKind.NONE)))]
        self._read(m, lite, {
            "control": control & 0b100, "program_low": self.address[:32], "program_high": high, "length": self.length,
            "status": Cat(status, C(0, 1), kept.kind, kept.access, C(0, 4), tag), "fault_low": kept.address[:32],
            "fault_high": kept.address[32:], "cycles_low": cycles[:32], "cycles_high": cycles[32:]})
        start, clear = (commanded & lite.write_bytes[0] & lite.write_data[n] for n in range(2))
        self._run(m, status, kept, tag, cycles, start, clear)
        return m

    def _write(self, m: Module, lite, kept):
        """Marked bytes into the registers that can be written; returns whether it is `control`."""
        commanded = Signal()
        with m.Switch(lite.write_address[2:]):
            for register in REGISTERS:
                if register.access != "rw":
                    continue
                with m.Case(register.offset // 4):
                    m.d.comb += [lite.write_legal.eq(1), commanded.eq(lite.write & (register.name == "control"))]
                    for n in range(4):
                        with m.If(lite.write & lite.write_bytes[n]):
                            m.d.sync += kept[register.name][8 * n:8 * n + 8].eq(lite.write_data[8 * n:8 * n + 8])
        return commanded

    def _read(self, m: Module, lite, values) -> None:
        """Every register of the map: the values given, a counter, or what it holds for ever."""
        with m.Switch(lite.read_address[2:]):
            for register in REGISTERS:
                with m.Case(register.offset // 4):
                    m.d.comb += [lite.read_legal.eq(1), lite.read_data.eq(values.get(register.name, register.reset))]
            words = [self.counters[name][at:at + 32] for name, bits in self._counters for at in range(0, bits, 32)]
            for register, word in zip(counter_registers(dict(self._counters)), words, strict=True):
                with m.Case(register.offset // 4):
                    m.d.comb += [lite.read_legal.eq(1), lite.read_data.eq(word)]

    def _run(self, m: Module, status, kept, tag, cycles, start, clear) -> None:
        """From start to rest."""
        abandoned = Signal()
        m.d.sync += [self.start.eq(0), self.clear.eq(0)]
        with m.If(clear):
            m.d.sync += [status.refused.eq(0), status.done.eq(0)]
        with m.If(start & (status.running | self.stop)):
            m.d.sync += status.refused.eq(1)
        with m.If(status.running):
            m.d.sync += [cycles.eq(cycles + 1), abandoned.eq(abandoned | clear)]
        with m.FSM(name="course") as course:
            m.d.comb += [status.running.eq(course.ongoing("RUN") | course.ongoing("STOP")),
                         self.stop.eq(course.ongoing("STOP") | course.ongoing("REST"))]
            with m.State("IDLE"):
                with m.If(start):
                    m.d.sync += [self.start.eq(1), status.done.eq(0), cycles.eq(0), abandoned.eq(0)]
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If((self.fault.kind != FaultKind.NONE) & ~self.start):
                    m.d.sync += [kept.eq(self.fault), tag.eq(self.tag)]
                    m.next = "STOP"
                with m.Elif(clear):
                    m.next = "STOP"
                with m.Elif(self.finished & self.idle & ~self.start):
                    m.d.sync += status.done.eq(1)
                    m.next = "IDLE"
            with m.State("STOP"):
                with m.If(self.idle):
                    m.next = "REST"
            with m.State("REST"):
                with m.If(clear | abandoned):
                    m.d.sync += [self.clear.eq(1), kept.eq(0), tag.eq(0), abandoned.eq(0)]
                    m.next = "IDLE"
