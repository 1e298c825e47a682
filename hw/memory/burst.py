# SPDX-License-Identifier: Apache-2.0
"""From a run of bytes to AXI bursts."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.control.fault import ADDRESS_BITS
from hw.memory.axi import PAGE, UNIT_BITS, CommandLayout


class Grains:
    """How units divide into beats: a grain is the smaller of the two, and a burst is a run of whole grains.

    Parameters
    ----------
    bus_bytes, unit_bytes : int
        Bytes of a beat and of a unit (a line, an instruction); powers of two.
    burst_beats : int
        Most beats of a burst, a power of two; ValueError where such a burst is longer than 4 KiB or 256 beats, or
        shorter than a unit.

    Attributes
    ----------
    bytes, of_beat, of_unit, of_burst : int
        Bytes of a grain; grains of a beat, of a unit, and of the longest burst.
    """

    def __init__(self, bus_bytes: int, unit_bytes: int, burst_beats: int) -> None:
        burst = bus_bytes * burst_beats
        if not unit_bytes <= burst <= PAGE or burst_beats > 256:
            raise ValueError(f"bursts of {burst_beats} beats of {bus_bytes} bytes: at most 256 beats and "
                             f"{unit_bytes}..{PAGE} bytes allowed")
        self.bytes = min(bus_bytes, unit_bytes)
        self.of_beat, self.of_unit = bus_bytes // self.bytes, unit_bytes // self.bytes
        self.of_burst = burst // self.bytes
        self._offset = exact_log2(bus_bytes)

    @property
    def layout(self) -> data.StructLayout:
        """A burst: `grains` of them from `address` on; `last` of its command."""
        return data.StructLayout({"address": ADDRESS_BITS, "grains": range(self.of_burst + 1), "last": 1})

    def lane(self, address):
        """Place within its beat of the grain at `address`."""
        return address[exact_log2(self.bytes):self._offset]

    def beat_address(self, address):
        """Address of the beat in which `address` lies."""
        return Cat(C(0, self._offset), address[self._offset:])

    def beats_less_one(self, burst):
        """Length of a burst as AXI tells it."""
        return (self.lane(burst.address) + burst.grains - 1) >> exact_log2(self.of_beat)


class BurstSplitter(Component):
    """Cut commands at every multiple of the longest burst's bytes, so that no burst crosses 4 KiB.

    With `stop`, the burst on offer is the last one, and commands are taken and dropped.

    Parameters
    ----------
    bus_bytes, unit_bytes, burst_beats : int
        As of `Grains`.

    Members
    -------
    command : In(stream of CommandLayout), burst : Out(stream of Grains.layout)
    stop : In(1), busy : Out(1)

    Latency: 1 cycle. Throughput: a burst a cycle.
    """

    latency = 1

    def __init__(self, bus_bytes: int, unit_bytes: int, burst_beats: int) -> None:
        self._sizes = bus_bytes, unit_bytes, burst_beats
        super().__init__({"command": In(stream.Signature(CommandLayout)), "stop": In(1), "busy": Out(1),
                          "burst": Out(stream.Signature(Grains(*self._sizes).layout))})

    def elaborate(self, platform):
        m = Module()
        grains = Grains(*self._sizes)
        unit, low = exact_log2(grains.of_unit), exact_log2(grains.bytes)
        high = low + exact_log2(grains.of_burst)
        address, last = Signal(ADDRESS_BITS), Signal()
        left, room = Signal(UNIT_BITS + unit), Signal(range(grains.of_burst + 1))
        final, taken = Signal(), Signal()
        m.d.comb += [room.eq(grains.of_burst - address[low:high]), final.eq(left <= room),
                     self.burst.valid.eq(self.busy), self.burst.p.address.eq(address),
                     self.burst.p.grains.eq(Mux(final, left, room)), self.burst.p.last.eq(last & final),
                     taken.eq(self.burst.valid & self.burst.ready),
                     self.command.ready.eq(~self.busy | (self.burst.ready & final))]
        with m.If(taken):
            m.d.sync += [address.eq(Cat(C(0, high), address[high:] + 1)), left.eq(left - room),
                         self.busy.eq(~final & ~self.stop)]
        with m.If(self.command.valid & self.command.ready & ~self.stop):
            m.d.sync += [address.eq(self.command.p.address), left.eq(self.command.p.units << unit),
                         last.eq(self.command.p.last), self.busy.eq(1)]
        return m
