# SPDX-License-Identifier: Apache-2.0
"""Sequencer: of each unit, one arbitrary instruction is followed from the program to its completion."""

from __future__ import annotations

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.hdl._ast import AnyConst
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered

from hw.config import MachineConfig
from hw.control.fault import FaultKind
from hw.control.isa import BYTES, SEMAPHORES, Opcode, layout
from hw.control.queue import RegisterQueue
from hw.control.sequencer import QUEUED, STARTED, Sequencer, Started
from verif.formal.circuit import free_inputs
from verif.formal.probe import Probe

#: What the sequencer is held to, of every unit.
PROPERTIES = (
    "it starts in its turn and takes the semaphores that it waits for", "a fence starts with nothing under way",
    "it reaches its unit as it was fetched", "its completion signals what it says, under its tag",
    "nothing starts that was not fetched", "a command is not replaced before it is taken",
    "never more under way than can be kept", "finished only when all is complete", "nothing starts after a fault")
#: What is kept of the followed instruction: the fields that the sequencer uses, and one arbitrary bit.
_KEPT = data.StructLayout({"wait": SEMAPHORES, "fence": 1, "started": Started, "bit": 1})


class SequencerPart:
    """A sequencer under any program; units take and complete what they have when they please.

    Assumed: a unit completes only what is under way.

    Parameters
    ----------
    config : MachineConfig
    strengthen : bool
        Assert what induction needs too.
    """

    def __init__(self, config: MachineConfig, strengthen: bool = True) -> None:
        self.sequencer, self._strengthen = Sequencer(config), strengthen
        self._bit = AnyConst(range(8 * BYTES))

    def build(self, m: Module) -> list[Value]:
        """As `Part`."""
        sequencer = self.sequencer
        probe = m.submodules.sequencer = Probe(sequencer, spies=True)
        marks = [self._unit(m, probe, u) for u in range(len(sequencer.units))]
        waiting = Cat(probe["waiting"])
        m.d.comb += Assert(~sequencer.finished | ~(waiting.any() | sequencer.busy.any()), PROPERTIES[7])
        faulty = sequencer.fault.kind != FaultKind.NONE
        m.d.comb += Assert(~faulty | ~probe["tokens"].start.any(), PROPERTIES[8])
        return [*free_inputs(sequencer), *marks]

    def _unit(self, m: Module, probe: Probe, u: int) -> Signal:
        """Follow one instruction of unit u; returns the input that chooses it."""
        sequencer, decoder, tokens = self.sequencer, probe["decoder"], probe["tokens"]
        mark, code = Signal(name=f"mark_{u}"), layout(Opcode.END)(sequencer.i.payload)
        enters = sequencer.i.valid & sequencer.i.ready & decoder.legal & decoder.unit[u]
        starts, done = tokens.start[u], sequencer.done[u]
        queued, under_way = Signal(range(2 * QUEUED)), Signal(range(2 * STARTED))
        m.d.comb += Assume(~done | (under_way != 0))
        m.d.sync += [queued.eq(queued + enters - starts), under_way.eq(under_way + starts - done)]
        kept, ahead = Signal(_KEPT), Signal(range(2 * (QUEUED + STARTED)))
        here, runs, gone = Signal(), Signal(), Signal()      # in the queue; under way; complete
        with m.If(enters & mark & ~here & ~runs & ~gone):
            m.d.sync += [here.eq(1), ahead.eq(queued - starts), kept.wait.eq(code.wait), kept.fence.eq(code.fence),
                         kept.started.signal.eq(code.signal), kept.started.tag.eq(code.tag),
                         kept.bit.eq(sequencer.i.payload.bit_select(self._bit, 1))]
        with m.If(here & starts):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.sync += [here.eq(0), runs.eq(1), ahead.eq(under_way - done)]
        with m.If(runs & done):
            m.d.sync += ahead.eq(ahead - 1)
            with m.If(ahead == 0):
                m.d.sync += [runs.eq(0), gone.eq(1)]
        turn, now = here & starts & (ahead == 0), runs & (ahead == 0)
        command = sequencer.command[u]
        begun = Signal()
        m.d.sync += begun.eq(turn)
        properties = (~turn | (tokens.wait[u] == kept.wait), ~(turn & kept.fence) | (under_way == 0),
                      ~begun | (command.valid & self._is(command.payload, kept)),
                      ~now | ((tokens.signal[u] == kept.started.signal) & (sequencer.tag[u] == kept.started.tag)
                              & (tokens.done[u] == done)),
                      ~starts | (queued != 0), ~starts | ~command.valid,
                      (queued <= QUEUED) & (under_way <= STARTED))
        m.d.comb += [Assert(holds, name) for holds, name in zip(properties, PROPERTIES, strict=False)]
        if self._strengthen:
            self._inner(m, probe, u, kept, ahead, here, runs, queued, under_way)
        return mark

    def _inner(self, m: Module, probe: Probe, u: int, kept, ahead, here, runs, queued, under_way) -> None:
        """Where the instruction lies: in the queue's memory, at its head, or among those under way."""
        queue, inside = list(probe.blocks(SyncFIFOBuffered))[u]
        _, started = list(probe.blocks(RegisterQueue))[u]
        places, level, shown = inside["inner_depth"], inside["inner_level"], queue.r_rdy
        produce, consume, spy = inside["produce"], inside["consume"], inside["spies"][0]
        end, place = Signal(range(2 * places)), Signal(range(4 * places))
        wrapped = Mux(place >= places, place - places, place)
        m.d.comb += [end.eq(consume + level), place.eq(consume + ahead - shown), spy.addr.eq(wrapped)]
        first = shown & (ahead == 0)
        held = [
            level + shown == queued, started["level"] == under_way, ~here | (ahead < queued),
            ~runs | (ahead < under_way), ~(here & runs), produce == Mux(end >= places, end - places, end),
            (produce < places) & (consume < places) & (level <= places),
            ~here | self._is(Mux(first, queue.r_data, spy.data), kept),
            ~runs | (started["entries"][ahead].as_value() == kept.started.as_value())]
        m.d.comb += [Assert(holds, f"unit {u}: inner state") for holds in held]

    def _is(self, code, kept):
        """A word is the instruction, as far as it is kept."""
        found = layout(Opcode.END)(code)
        return ((found.wait == kept.wait) & (found.fence == kept.fence) & (found.signal == kept.started.signal)
                & (found.tag == kept.started.tag) & (Value.cast(code).bit_select(self._bit, 1) == kept.bit))
