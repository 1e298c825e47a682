# SPDX-License-Identifier: Apache-2.0
"""Sequencer: instructions go to the queues of their units and start when their semaphores allow."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from hw.config import MachineConfig
from hw.control.decode import Decoder, units
from hw.control.fault import Access, Fault, FaultKind
from hw.control.isa import BYTES, SEMAPHORES, Opcode, layout
from hw.control.queue import RegisterQueue
from hw.control.tokens import Tokens

#: Instructions that wait in the queue of a unit, and that a unit may have under way.
QUEUED, STARTED = 8, 8
#: Cycles without a start, with nothing under way, after which a program that cannot go on is given up.
PATIENCE = 16
#: Bits of an instruction's tag.
TAG_BITS = 16
#: What is kept of an instruction that is under way.
Started = data.StructLayout({"signal": SEMAPHORES, "tag": TAG_BITS})


class Sequencer(Component):
    """Decoupled units: each takes its instructions in order, semaphores order those of different units.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    i : In(stream of 512 bits)
        Instructions in order; after an END or a fault none is taken until reset.
    command : Out(array of streams of 512 bits), done : In
        To each of `units(config)`; instructions complete in order within a unit.
    busy : Out
        Units that have an instruction under way.
    finished : Out(1)
        END was read, all queues are empty and all units idle. Stays.
    tag : Out(array)
        Of the oldest instruction that each unit has under way.
    fault : Out(Fault), fault_tag : Out(16)
        The first illegal instruction, semaphore overflow or deadlock (address: index of the instruction that was taken
        last), with that instruction's tag. Stays; nothing starts any more.

    Latency: 3 cycles from an accepted instruction to its command. Throughput: an instruction a cycle.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config, self.units = config, units(config)
        code = stream.Signature(8 * BYTES)
        super().__init__({"i": In(code), "command": Out(code).array(len(self.units)),
                          "done": In(len(self.units)), "busy": Out(len(self.units)), "finished": Out(1),
                          "tag": Out(data.ArrayLayout(TAG_BITS, len(self.units))), "fault": Out(Fault),
                          "fault_tag": Out(TAG_BITS)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder(self._config)
        m.submodules.tokens = tokens = Tokens(len(self.units))
        room, waiting, ending = Signal(len(self.units)), Signal(len(self.units)), Signal()
        stopped, taken, last_tag, accepts = Signal(), Signal(32), Signal(TAG_BITS), Signal()
        m.d.comb += [stopped.eq(self.fault.kind != FaultKind.NONE), decoder.code.eq(self.i.payload),
                     accepts.eq(~ending & ~stopped & (~decoder.legal | ((decoder.unit & ~room) == 0))),
                     self.i.ready.eq(accepts)]
        with m.If(self.i.valid & accepts):
            m.d.sync += [taken.eq(taken + 1), last_tag.eq(layout(Opcode.END)(self.i.payload).tag),
                         ending.eq(decoder.legal & decoder.end)]
            with m.If(~decoder.legal):
                m.d.sync += [self.fault.kind.eq(FaultKind.INSTRUCTION), self.fault.access.eq(Access.FETCH)]
        for u in range(len(self.units)):
            self._unit(m, u, decoder, tokens, room, waiting, accepts, stopped)
        m.d.comb += self.finished.eq(ending & ~waiting.any() & ~self.busy.any() & ~stopped & ~tokens.overflow)
        self._give_up(m, tokens, waiting, ending | (self.i.valid & ~accepts), stopped)
        m.d.comb += [self.fault.address.eq(taken - 1), self.fault_tag.eq(last_tag)]
        return m

    def _unit(self, m: Module, u: int, decoder, tokens, room, waiting, accepts, stopped) -> None:
        """The queue of a unit, its next instruction, and what those under way will signal."""
        m.submodules[f"queue_{u}"] = queue = SyncFIFOBuffered(width=8 * BYTES, depth=QUEUED)
        m.submodules[f"signals_{u}"] = signals = RegisterQueue(Started, STARTED)
        head, start = layout(Opcode.END)(queue.r_data), tokens.start[u]
        command = self.command[u]
        m.d.comb += [
            queue.w_data.eq(self.i.payload), queue.w_en.eq(self.i.valid & accepts & decoder.legal & decoder.unit[u]),
            room[u].eq(queue.w_rdy), waiting[u].eq(queue.r_level.any()),
            tokens.wait[u].eq(head.wait), queue.r_en.eq(start),
            tokens.ready[u].eq(queue.r_rdy & ~command.valid & signals.i.ready & ~(head.fence & signals.o.valid)
                               & ~stopped),
            signals.i.valid.eq(start), signals.i.p.signal.eq(head.signal), signals.i.p.tag.eq(head.tag),
            self.tag[u].eq(signals.o.p.tag), signals.o.ready.eq(self.done[u]),
            tokens.signal[u].eq(signals.o.p.signal), tokens.done[u].eq(self.done[u]),
            self.busy[u].eq(signals.o.valid)]
        with m.If(start):
            m.d.sync += [command.payload.eq(queue.r_data), command.valid.eq(1)]
        with m.Elif(command.ready):
            m.d.sync += command.valid.eq(0)

    def _give_up(self, m: Module, tokens, waiting, no_more, stopped) -> None:
        """Faults that show only while units run."""
        quiet = Signal(range(PATIENCE + 1))
        m.d.sync += quiet.eq(Mux(waiting.any() & no_more & ~self.busy.any() & ~tokens.start.any(), quiet + 1, 0))
        with m.If(~stopped):
            with m.If(tokens.overflow):
                m.d.sync += self.fault.kind.eq(FaultKind.TOKEN)
            with m.Elif(quiet == PATIENCE):
                m.d.sync += self.fault.kind.eq(FaultKind.DEADLOCK)
