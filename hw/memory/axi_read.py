# SPDX-License-Identifier: Apache-2.0
"""AXI read master: runs of units from memory, several bursts under way."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.control.fault import Access, Fault, FaultKind
from hw.control.queue import RegisterQueue
from hw.memory.axi import INCR, AddressLayout, CommandLayout, read_signature
from hw.memory.burst import BurstSplitter, Grains


class AxiReader(Component):
    """Read units in the order of the commands.

    A burst is asked for whether or not its units will be taken: those that wait hold up all behind them on the bus.
    After a bad response, and with `stop`, what has been asked for still comes out, for the taker to drop, nothing more
    is asked for, and commands are dropped. `fault` shows before the unit of the bad response does.

    Parameters
    ----------
    bus_bytes, unit_bytes, burst_beats : int
        As of `Grains`.
    outstanding : int
        Bursts under way, at least 2.
    access : Access
        Whose fault it would be.

    Members
    -------
    command : In(stream of CommandLayout), unit : Out(stream of 8 x unit_bytes)
    stop : In(1), clear : In(1), busy : Out(1)
        `busy` while anything is under way; `clear`, while not busy, removes the fault.
    fault : Out(Fault)
        `address` is that of the burst.
    bus : Out(read_signature)

    Latency: 2 cycles from command to AR, 1 from R to unit. Throughput: a beat or a unit a cycle, whichever is smaller.
    """

    latency = 2

    def __init__(self, bus_bytes: int, unit_bytes: int, burst_beats: int, outstanding: int, access: Access) -> None:
        self._sizes, self._outstanding, self._access = (bus_bytes, unit_bytes, burst_beats), outstanding, access
        Grains(*self._sizes)
        super().__init__({
            "command": In(stream.Signature(CommandLayout)), "unit": Out(stream.Signature(8 * unit_bytes)),
            "stop": In(1), "clear": In(1), "busy": Out(1), "fault": Out(Fault), "bus": Out(read_signature(bus_bytes))})

    def elaborate(self, platform):
        m = Module()
        grains, bus = Grains(*self._sizes), self.bus
        m.submodules.splitter = splitter = BurstSplitter(*self._sizes)
        m.submodules.addresses = addresses = RegisterQueue(AddressLayout, 2)
        m.submodules.order = order = RegisterQueue(grains.layout, self._outstanding)
        m.submodules.beats = beats = RegisterQueue(data.StructLayout({"data": len(bus.rdata), "bad": 2}), 2)
        connect(m, flipped(self.command), splitter.command)
        burst, failed = splitter.burst, self.fault.kind != FaultKind.NONE
        m.d.comb += [splitter.stop.eq(self.stop | failed), self.busy.eq(splitter.busy | order.o.valid),
                     burst.ready.eq(addresses.i.ready & order.i.ready), order.i.payload.eq(burst.payload),
                     order.i.valid.eq(burst.valid & burst.ready), addresses.i.valid.eq(burst.valid & burst.ready),
                     addresses.i.p.address.eq(grains.beat_address(burst.p.address)),
                     addresses.i.p.len.eq(grains.beats_less_one(burst.p)),
                     bus.arvalid.eq(addresses.o.valid), addresses.o.ready.eq(bus.arready),
                     bus.araddr.eq(addresses.o.p.address), bus.arlen.eq(addresses.o.p.len),
                     bus.arsize.eq(exact_log2(self._sizes[0])), bus.arburst.eq(INCR),
                     bus.rready.eq(beats.i.ready), beats.i.valid.eq(bus.rvalid), beats.i.p.data.eq(bus.rdata),
                     beats.i.p.bad.eq(bus.rresp)]
        bad = Signal()
        m.d.comb += bad.eq(beats.o.valid & beats.o.p.bad[1] & ~failed)
        with m.If(self.clear):
            m.d.sync += self.fault.eq(0)
        with m.Elif(bad):
            m.d.sync += [self.fault.kind.eq(beats.o.p.bad), self.fault.access.eq(self._access),
                         self.fault.address.eq(order.o.p.address)]
        grain = self._grains(m, grains, order.o, beats.o, ~bad)
        self._units(m, grains, grain)
        return m

    def _grains(self, m: Module, grains: Grains, order, beats, good):
        """The beats' bytes that belong to their burst, a grain at a time."""
        grain = stream.Signature(8 * grains.bytes).create(path=("grain",))
        taken, last, gone = Signal(range(grains.of_burst)), Signal(), Signal()
        lane = Signal(exact_log2(grains.of_beat))
        m.d.comb += [lane.eq(grains.lane(order.p.address) + taken), last.eq(taken + 1 == order.p.grains),
                     grain.valid.eq(beats.valid & order.valid & good),
                     grain.payload.eq(beats.p.data.word_select(lane, 8 * grains.bytes)),
                     gone.eq(grain.valid & grain.ready), order.ready.eq(gone & last),
                     beats.ready.eq(gone & (last | (lane == grains.of_beat - 1)))]
        with m.If(gone):
            m.d.sync += taken.eq(taken + 1)
            with m.If(last):
                m.d.sync += taken.eq(0)
        return grain

    def _units(self, m: Module, grains: Grains, grain) -> None:
        """The last grain of a unit goes straight to the output, the others wait for it."""
        count, bits = grains.of_unit, 8 * grains.bytes
        kept, place = Signal(bits * (count - 1)), Signal(range(count))
        complete = Signal()
        m.d.comb += [complete.eq(place == count - 1), grain.ready.eq(self.unit.ready | ~complete),
                     self.unit.valid.eq(grain.valid & complete), self.unit.payload.eq(Cat(kept, grain.payload))]
        with m.If(grain.valid & grain.ready):
            m.d.sync += place.eq(place + 1)
            if count > 1:
                m.d.sync += kept.word_select(place, bits).eq(grain.payload)
