# SPDX-License-Identifier: Apache-2.0
"""The machine: PE groups, vector unit and movers around a global buffer, under programs that a host puts in memory."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.config import TILE, Lane, MachineConfig
from hw.control.axi_lite import axi_lite_signature
from hw.control.decode import units
from hw.control.fault import Access, FaultKind
from hw.control.fetch import Fetch
from hw.control.isa import BYTES, Opcode, layout
from hw.control.matmul import MatmulUnit
from hw.control.register_map import SPACE
from hw.control.registers import Registers
from hw.control.restart import Restart
from hw.control.sequencer import TAG_BITS, Sequencer
from hw.control.usage import Usage, counter_bits
from hw.errors import VidaError
from hw.memory.axi import axi_signature
from hw.memory.buffer import Buffer
from hw.memory.dma import Dma
from hw.vector.engine import VectorEngine

#: What a unit does.
Activity = data.StructLayout({"busy": 1, "tag": TAG_BITS})


def check(config: MachineConfig) -> None:
    """Raise VidaError where a configuration makes groups but no machine, with every reason and what is allowed."""
    problems = []
    if config.ccpes not in (1, 2, 4, 8):
        problems.append(f"ccpes is {config.ccpes}: 1, 2, 4 or 8 allowed")
    name, beat = ("scan", config.scan) if config.lane is Lane.DIGIT else ("depth", config.depth)
    if config.columns % beat or beat & (beat - 1):
        problems.append(f"{name} is {beat}: a power of two that divides 4 x ccpes = {config.columns} allowed")
    if config.lanes % TILE:
        problems.append(f"vector_lanes is {config.lanes}: a multiple of {TILE} allowed")
    if problems:
        raise VidaError(f"configuration {config.name} makes no machine: {'; '.join(problems)}")


class Machine(Component):
    """An accelerator with one context: fetch, sequencer, DMA, vector engine and matmul units.

    A host writes a program and its data into memory, its address into registers, and starts it. Units work side by
    side on instructions in order, semaphores order those of different units. A fault ends the program with a status
    that names it; after `clear` the next one may start. The buffer keeps its contents from a program to the next.

    Parameters
    ----------
    config : MachineConfig
        One that `check` lets pass.

    Members
    -------
    m_axi : Out(axi_signature)
        Memory: INCR bursts, one id, in order.
    s_axil : In(axi_lite_signature)
        Registers (docs/registers.md).
    irq : Out(1)
        A program has ended.
    activity : Out(array of {busy, tag})
        Of each of `units(config)`: whether an instruction is under way, and the tag of the oldest; for traces.

    Latency and throughput: as the units'. Numerics: as the laws of the instructions, `model/exact/machine`.
    """

    def __init__(self, config: MachineConfig) -> None:
        check(config)
        self._config = config
        super().__init__({
            "m_axi": Out(axi_signature(config.bus_bytes)), "s_axil": In(axi_lite_signature(exact_log2(SPACE))),
            "irq": Out(1), "activity": Out(data.ArrayLayout(Activity, len(units(config))))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        reset, start = Signal(), Signal()
        m.submodules.registers = registers = Registers(counter_bits(config))
        m.submodules.fetch = fetch = Fetch(config)
        m.submodules.dma = dma = Dma(config)
        sequencer, vector = Sequencer(config), VectorEngine(config)
        groups = [MatmulUnit(config) for _ in range(config.pegs)]
        m.submodules.sequencer = Restart(sequencer, start | reset)
        m.submodules.vector = Restart(vector, reset)
        for n, group in enumerate(groups):
            m.submodules[f"matmul_{n}"] = Restart(group, reset)
        m.d.comb += [reset.eq(registers.clear), start.eq(registers.start)]

        connect(m, flipped(self.s_axil), registers.bus)
        connect(m, fetch.bus, dma.fetch)
        connect(m, dma.bus, flipped(self.m_axi))
        m.d.comb += self.irq.eq(registers.interrupt)
        self._buffer(m, reset, dma, vector, groups)
        self._control(m, registers, fetch, sequencer, dma)
        self._outside(m, registers, sequencer, vector, groups)
        self._commands(m, sequencer, dma, vector, groups)
        self._usage(m, registers, sequencer, groups)
        return m

    def _buffer(self, m: Module, reset, dma: Dma, vector: VectorEngine, groups) -> None:
        """The buffer and its clients."""
        reads = [(dma.request, dma.data), *zip(vector.request, vector.data, strict=True)]
        for group in groups:
            reads += zip(group.request, group.data, strict=True)
        writes = [dma.write, vector.write, *(write for group in groups for write in group.write)]
        buffer = Buffer(self._config, len(reads), len(writes))
        m.submodules.buffer = Restart(buffer, reset)
        for n, (request, line) in enumerate(reads):
            connect(m, request, buffer.request[n])
            connect(m, buffer.data[n], line)
        for n, write in enumerate(writes):
            connect(m, write, buffer.write[n])

    def _control(self, m: Module, registers: Registers, fetch: Fetch, sequencer: Sequencer, dma: Dma) -> None:
        """From start to END, or to the first fault and to rest."""
        m.d.comb += [
            fetch.start.eq(registers.start), fetch.address.eq(registers.address), fetch.length.eq(registers.length),
            sequencer.i.payload.eq(fetch.instruction.payload), sequencer.i.valid.eq(fetch.instruction.valid),
            # What is still on offer after a fault goes nowhere.
            fetch.instruction.ready.eq(sequencer.i.ready | registers.stop),
            registers.finished.eq(sequencer.finished), registers.idle.eq(~fetch.busy & ~dma.busy)]
        m.d.comb += [signal.eq(value) for part in (fetch, dma)
                     for signal, value in ((part.stop, registers.stop), (part.clear, registers.clear))]
        m.d.comb += [registers.fault.eq(sequencer.fault), registers.tag.eq(sequencer.fault_tag),
                     registers.fault.address.eq(registers.address + sequencer.fault.address * BYTES)]
        with m.If(fetch.fault.kind != FaultKind.NONE):
            m.d.comb += [registers.fault.eq(fetch.fault), registers.tag.eq(0)]
        with m.If(dma.fault.kind != FaultKind.NONE):
            load, store = (sequencer.tag[units(self._config).index((opcode, 0))]
                           for opcode in (Opcode.LOAD, Opcode.STORE))
            m.d.comb += registers.fault.eq(dma.fault)
            with m.If(dma.fault.access == Access.LOAD):
                m.d.comb += registers.tag.eq(load)
            with m.Else():
                m.d.comb += registers.tag.eq(store)

    def _outside(self, m: Module, registers: Registers, sequencer: Sequencer, vector: VectorEngine, groups) -> None:
        """A line that is not in the buffer: the unit that would read or write it waits for the clear."""
        parts = {(Opcode.VECTOR, 0): vector} | {(Opcode.MATMUL, n): group for n, group in enumerate(groups)}
        for u, unit in enumerate(units(self._config)):
            if unit in parts:
                with m.If(parts[unit].outside.valid):
                    access = Access.VECTOR if unit[0] is Opcode.VECTOR else Access.MATMUL
                    m.d.comb += [registers.fault.kind.eq(FaultKind.ADDRESS), registers.fault.access.eq(access),
                                 registers.fault.address.eq(parts[unit].outside.line),
                                 registers.tag.eq(sequencer.tag[u])]

    def _commands(self, m: Module, sequencer: Sequencer, dma: Dma, vector: VectorEngine, groups) -> None:
        """Each unit's instructions, and when they are complete."""
        parts = {(Opcode.LOAD, 0): (dma.load, dma.load_done), (Opcode.STORE, 0): (dma.store, dma.store_done),
                 (Opcode.VECTOR, 0): (vector.command, vector.done)}
        parts |= {(Opcode.MATMUL, n): (group.command, group.done) for n, group in enumerate(groups)}
        for u, unit in enumerate(units(self._config)):
            given, (command, done) = sequencer.command[u], parts[unit]
            m.d.comb += [command.valid.eq(given.valid), given.ready.eq(command.ready), sequencer.done[u].eq(done)]
            fields = layout(unit[0])(given.payload)
            m.d.comb += [command.p[name].eq(fields[name]) for name, _ in command.payload.shape()]

    def _usage(self, m: Module, registers: Registers, sequencer: Sequencer, groups) -> None:
        """Counters, from a start on, and what each unit does now."""
        m.submodules.usage = usage = Usage(self._config)
        bus = self.m_axi
        m.d.comb += [usage.clear.eq(registers.start), usage.busy.eq(sequencer.busy), usage.done.eq(sequencer.done),
                     usage.read.eq(bus.rvalid & bus.rready), usage.written.eq(bus.wvalid & bus.wready),
                     registers.counters.eq(usage.values)]
        for n, group in enumerate(groups):
            m.d.comb += [group.clear.eq(registers.start), usage.groups[n].eq(group.counters)]
        for u, shown in enumerate(self.activity):
            m.d.comb += [shown.busy.eq(sequencer.busy[u]), shown.tag.eq(sequencer.tag[u])]
