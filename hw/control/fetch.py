# SPDX-License-Identifier: Apache-2.0
"""Instruction fetch: a program from DRAM, in order, a few instructions ahead."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.config import MachineConfig
from hw.control.fault import ADDRESS_BITS, Access, Fault, FaultKind
from hw.control.isa import BYTES, Opcode
from hw.control.queue import RegisterQueue
from hw.memory.axi import read_signature
from hw.memory.axi_read import AxiReader
from hw.memory.halt import ends

#: Bits of a program's length in instructions.
LENGTH_BITS = 32
#: Instructions asked for or kept.
PREFETCH = 2


class Fetch(Component):
    """Read instructions up to the first END.

    Nothing is asked for without a place to keep it, so fetch never holds up the loads that share its bus.

    Parameters
    ----------
    config : MachineConfig
        Uses bus_bytes.
    prefetch : int
        Instructions asked for or kept, at least 2.

    Members
    -------
    start : In(1), address : In(64), length : In(32)
        Begin, while not busy: the first instruction's byte address, a multiple of 64, and the number of instructions.
    instruction : Out(stream of 512)
        END is the last one.
    stop : In(1), clear : In(1), busy : Out(1)
        A cycle of `stop` ends the program: no more comes in, and the taker drops what is still offered, until `busy`
        falls. `clear`, while not busy, removes the fault.
    fault : Out(Fault)
        As `AxiReader` says; ADDRESS where the program ends without END (`address`: behind it). The block then stops by
        itself.
    bus : Out(read_signature)

    Latency: 4 cycles from start to AR, 2 from the last beat to the instruction. Throughput: an instruction in two
    cycles, or in the beats that it takes; with `prefetch` of them in the memory's latency.
    """

    latency = 4

    def __init__(self, config: MachineConfig, prefetch: int = PREFETCH) -> None:
        self._config, self._prefetch = config, prefetch
        super().__init__({
            "start": In(1), "address": In(ADDRESS_BITS), "length": In(LENGTH_BITS),
            "instruction": Out(stream.Signature(8 * BYTES)), "stop": In(1), "clear": In(1), "busy": Out(1),
            "fault": Out(Fault), "bus": Out(read_signature(config.bus_bytes))})

    def elaborate(self, platform):
        m = Module()
        width = self._config.bus_bytes
        m.submodules.reader = reader = AxiReader(width, BYTES, BYTES // width, self._prefetch, Access.FETCH)
        m.submodules.queue = queue = RegisterQueue(8 * BYTES, self._prefetch)
        connect(m, reader.bus, flipped(self.bus))
        connect(m, queue.o, flipped(self.instruction))
        running, kept, overrun = Signal(), Signal(range(self._prefetch + 1)), Signal(Fault)
        m.d.comb += [self.fault.eq(Mux(overrun.kind != FaultKind.NONE, overrun, reader.fault)),
                     self.busy.eq(running | reader.command.valid | reader.busy | queue.o.valid),
                     reader.clear.eq(self.clear)]
        failed, stopping = self.fault.kind != FaultKind.NONE, Signal()
        m.d.comb += [stopping.eq(ends(m, self.stop | failed, self.busy)), reader.stop.eq(stopping)]
        with m.If(self.clear):
            m.d.sync += overrun.eq(0)
        self._ask(m, reader.command, running, kept, stopping)
        self._take(m, reader.unit, queue.i, running, overrun, stopping)
        asked, dropped = reader.command.valid & reader.command.ready, reader.unit.valid & ~queue.i.valid
        m.d.sync += kept.eq(kept + asked - dropped - (queue.o.valid & queue.o.ready))
        with m.If(self.start & ~self.busy):
            # A stop drops what was asked for last, unanswered.
            m.d.sync += kept.eq(0)
        return m

    def _ask(self, m: Module, command, running, kept, stopping) -> None:
        """One instruction after the other, while there is a place for it."""
        left = Signal(LENGTH_BITS)
        m.d.comb += command.p.units.eq(1)
        with m.If(self.start & ~self.busy):
            m.d.sync += [command.p.address.eq(self.address), left.eq(self.length)]
        with m.If(command.valid & command.ready):
            m.d.sync += [command.valid.eq(0), command.p.address.eq(command.p.address + BYTES), left.eq(left - 1)]
        with m.Elif(running & ~stopping & (left != 0) & (kept != self._prefetch)):
            m.d.sync += command.valid.eq(1)

    def _take(self, m: Module, unit, queue, running, overrun, stopping) -> None:
        """Into the queue, where there is room; what comes behind the end is dropped."""
        due, behind = Signal(LENGTH_BITS), Signal(ADDRESS_BITS)
        m.d.comb += [unit.ready.eq(1), queue.payload.eq(unit.payload), queue.valid.eq(unit.valid & running & ~stopping)]
        with m.If(self.start & ~self.busy):
            m.d.sync += [running.eq(1), due.eq(self.length), behind.eq(self.address)]
        with m.Elif(stopping):
            m.d.sync += running.eq(0)
        with m.Elif(running & (due == 0)):
            m.d.sync += [overrun.kind.eq(FaultKind.ADDRESS), overrun.access.eq(Access.FETCH),
                         overrun.address.eq(behind)]
        with m.Elif(queue.valid):
            m.d.sync += [due.eq(due - 1), behind.eq(behind + BYTES)]
            with m.If(unit.payload[:8] == Opcode.END.value):
                m.d.sync += running.eq(0)
