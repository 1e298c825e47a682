# SPDX-License-Identifier: Apache-2.0
"""AXI write master: runs of units to memory, several bursts under way."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.control.fault import ADDRESS_BITS, Access, Fault, FaultKind
from hw.control.queue import RegisterQueue
from hw.memory.axi import INCR, AddressLayout, CommandLayout, write_signature
from hw.memory.burst import BurstSplitter, Grains


class AxiWriter(Component):
    """Write units in the order of the commands.

    Data does not wait for the address to be taken, nor the other way round. After a bad response, and with `stop`, the
    bursts already promised are ended with strobes of zero, and units and commands are taken and dropped.

    Parameters
    ----------
    bus_bytes, unit_bytes, burst_beats : int
        As of `Grains`.
    outstanding : int
        Bursts without a response, at least 2.
    access : Access
        Whose fault it would be.

    Members
    -------
    command : In(stream of CommandLayout), unit : In(stream of 8 x unit_bytes)
    stop : In(1), clear : In(1), busy : Out(1)
        `busy` while anything is under way, for as long `stop` must be kept; `clear`, while not busy, removes the fault.
    done : Out(1)
        A pulse: a command that is `last` and all before it are in memory, and no fault came before.
    fault : Out(Fault)
        `address` is that of the burst.
    bus : Out(write_signature)

    Latency: 2 cycles from command to AW, 1 from unit to W, 1 from B to done. Throughput: a beat or a unit a cycle,
    whichever is smaller.
    """

    latency = 2

    def __init__(self, bus_bytes: int, unit_bytes: int, burst_beats: int, outstanding: int, access: Access) -> None:
        self._sizes, self._outstanding, self._access = (bus_bytes, unit_bytes, burst_beats), outstanding, access
        Grains(*self._sizes)
        super().__init__({
            "command": In(stream.Signature(CommandLayout)), "unit": In(stream.Signature(8 * unit_bytes)),
            "stop": In(1), "clear": In(1), "busy": Out(1), "done": Out(1), "fault": Out(Fault),
            "bus": Out(write_signature(bus_bytes))})

    def elaborate(self, platform):
        m = Module()
        grains, bus = Grains(*self._sizes), self.bus
        m.submodules.splitter = splitter = BurstSplitter(*self._sizes)
        m.submodules.addresses = addresses = RegisterQueue(AddressLayout, 2)
        m.submodules.bursts = bursts = RegisterQueue(grains.layout, self._outstanding)
        m.submodules.responses = responses = RegisterQueue(
            data.StructLayout({"address": ADDRESS_BITS, "last": 1}), self._outstanding)
        connect(m, flipped(self.command), splitter.command)
        void = Signal()
        m.d.comb += [
            void.eq(self.stop | (self.fault.kind != FaultKind.NONE)), splitter.stop.eq(void),
            self.busy.eq(splitter.busy | responses.o.valid),
            bus.awvalid.eq(addresses.o.valid), addresses.o.ready.eq(bus.awready), bus.awlen.eq(addresses.o.p.len),
            bus.awaddr.eq(addresses.o.p.address), bus.awsize.eq(exact_log2(self._sizes[0])), bus.awburst.eq(INCR)]
        self._fork(m, grains, splitter.burst, (addresses.i, bursts.i, responses.i))
        self._beats(m, grains, bursts.o, self._grains(m, grains, void), void)
        self._responses(m, responses.o, void)
        return m

    def _fork(self, m: Module, grains: Grains, burst, queues) -> None:
        """A burst enters all three queues in one cycle."""
        addresses, bursts, responses = queues
        room = Signal()
        m.d.comb += [room.eq(Cat(queue.ready for queue in queues).all()), burst.ready.eq(room),
                     addresses.p.address.eq(grains.beat_address(burst.p.address)),
                     addresses.p.len.eq(grains.beats_less_one(burst.p)), bursts.payload.eq(burst.payload),
                     responses.p.address.eq(burst.p.address), responses.p.last.eq(burst.p.last)]
        m.d.comb += [queue.valid.eq(burst.valid & room) for queue in queues]

    def _grains(self, m: Module, grains: Grains, void):
        """Units in pieces of a grain; none is needed where the beats are void."""
        grain = stream.Signature(8 * grains.bytes).create(path=("grain",))
        piece = Signal(range(grains.of_unit))
        m.d.comb += [grain.valid.eq(self.unit.valid | void),
                     grain.payload.eq(self.unit.payload.word_select(piece, 8 * grains.bytes)),
                     self.unit.ready.eq(void | (grain.ready & (piece == grains.of_unit - 1)))]
        with m.If(void):
            m.d.sync += piece.eq(0)
        with m.Elif(grain.valid & grain.ready):
            m.d.sync += piece.eq(piece + 1)
        return grain

    def _beats(self, m: Module, grains: Grains, burst, grain, void) -> None:
        """Grains to their lanes; a beat is complete with its last lane or the last grain of its burst."""
        bus, bits = self.bus, 8 * grains.bytes
        taken, last, gone, free = Signal(range(grains.of_burst)), Signal(), Signal(), Signal()
        lane, strobe = Signal(exact_log2(grains.of_beat)), Signal(grains.of_beat)
        m.d.comb += [
            lane.eq(grains.lane(burst.p.address) + taken), last.eq(taken + 1 == burst.p.grains),
            free.eq(~bus.wvalid | bus.wready), grain.ready.eq(burst.valid & free), gone.eq(grain.valid & grain.ready),
            burst.ready.eq(gone & last), bus.wstrb.eq(Cat(bit.replicate(grains.bytes) for bit in strobe))]
        with m.If(free):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(gone):
            kept = Mux((taken == 0) | (lane == 0), 0, strobe)
            m.d.sync += [bus.wdata.word_select(lane, bits).eq(grain.payload), strobe.eq(kept | (~void << lane)),
                         bus.wvalid.eq(last | (lane == grains.of_beat - 1)), bus.wlast.eq(last),
                         taken.eq(Mux(last, 0, taken + 1))]

    def _responses(self, m: Module, response, void) -> None:
        bus, bad = self.bus, Signal()
        m.d.comb += [bus.bready.eq(response.valid), response.ready.eq(bus.bvalid), bad.eq(bus.bresp[1])]
        arrived = bus.bvalid & bus.bready
        m.d.sync += self.done.eq(arrived & response.p.last & ~bad & ~void)
        with m.If(self.clear):
            m.d.sync += self.fault.eq(0)
        with m.Elif(arrived & bad & (self.fault.kind == FaultKind.NONE)):
            m.d.sync += [self.fault.kind.eq(bus.bresp), self.fault.access.eq(self._access),
                         self.fault.address.eq(response.p.address)]
