# SPDX-License-Identifier: Apache-2.0
"""The AXI masters under any commands and any memory: what a solver holds them to."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cat, ClockDomain, Cover, Elaboratable, Module, Mux, Signal, Value
from amaranth.utils import exact_log2

from hw.control.fault import Access
from hw.memory.axi import PAGE
from hw.memory.axi_write import AxiWriter

#: What `AxiHarness` holds the masters to, for tables and documents; the last three of the write master.
PROPERTIES = (
    "an address on offer stays", "bursts begin at a beat", "bursts do not cross 4 KiB", "bursts are not too long",
    "at rest nothing is outstanding", "data on offer stays", "WLAST is the last beat of its burst",
    "no byte outside of the commands is written")

#: Commands lie in so many bits of address space: sixteen pages, for the solver's sake.
SPACE_BITS = 16
#: Bits of the counters of bursts: more than any bounded run starts.
COUNT_BITS = 6


class AxiHarness(Elaboratable):
    """An `AxiReader` or `AxiWriter` whose commands, units, stop and memory do as they please within the rules.

    One burst, one of its beats and one grain of memory outside of all commands, each arbitrary, are watched: what
    holds of them holds of all.

    Parameters
    ----------
    master : type
        AxiReader or AxiWriter.
    bus_bytes, unit_bytes, burst_beats : int
        As of the master.
    """

    def __init__(self, master: type, bus_bytes: int, unit_bytes: int, burst_beats: int) -> None:
        self._writes, self._bus_bytes, self._unit_bytes = master is AxiWriter, bus_bytes, unit_bytes
        self._burst_beats = burst_beats
        self._domain = ClockDomain("sync", reset_less=True)     # registers begin as after reset
        self.unit = master(bus_bytes, unit_bytes, burst_beats, 2, Access.STORE if self._writes else Access.LOAD)
        self.watched = {"burst": Signal(COUNT_BITS, name="watched_burst"), "beat": Signal(8, name="watched_beat"),
                        "grain": Signal(SPACE_BITS, name="watched_grain")}

    def rtlil(self) -> str:
        """The circuit for Yosys; its top module is `harness`, its inputs are free."""
        unit, bus = self.unit, self.unit.bus
        inputs = [self._domain.clk, unit.command.valid, unit.command.payload, unit.stop, unit.clear,
                  *self.watched.values()]
        if self._writes:
            inputs += [unit.unit.valid, unit.unit.payload, bus.awready, bus.wready, bus.bvalid, bus.bresp]
        else:
            inputs += [unit.unit.ready, bus.arready, bus.rvalid, bus.rdata, bus.rresp, bus.rlast]
        return rtlil.convert(self, name="harness", ports=[Value.cast(value) for value in inputs], emit_src=False)

    def elaborate(self, platform):
        """The master, its surroundings and what is to hold."""
        m = Module()
        m.domains.sync = self._domain
        m.submodules.unit = unit = self.unit
        for name, value in self.watched.items():
            m.d.comb += Assume(value == _before(m, value, f"{name}_before", first=value))
        self._commands(m)
        prefix = "aw" if self._writes else "ar"
        address, length, valid, ready = (getattr(unit.bus, f"{prefix}{part}")
                                         for part in ("addr", "len", "valid", "ready"))
        self._stays(m, valid, ready, [address, length], "an address on offer stays")
        low = exact_log2(self._bus_bytes)
        end = (address[low:exact_log2(PAGE)] + length) << low
        with m.If(valid):
            m.d.comb += [Assert(address[:low] == 0, "bursts begin at a beat"),
                         Assert(end < PAGE, "bursts do not cross 4 KiB"),
                         Assert(length < self._burst_beats, "bursts are not too long")]
        if self._writes:
            self._write(m, valid & ready, address, length)
        else:
            self._read(m, valid & ready, length)
        return m

    def _commands(self, m: Module) -> None:
        """Commands stay until taken, are whole, and leave the watched grain alone; clear comes at rest."""
        unit, command = self.unit, self.unit.command
        low, grain = exact_log2(self._unit_bytes), self.watched["grain"]
        first, last = command.p.address[low:], command.p.address[low:] + command.p.units
        inside = (grain[low:] >= first) & (grain[low:] < last)
        m.d.comb += [Assume((command.p.units != 0) & (command.p.address[:low] == 0)), Assume(~command.valid | ~inside),
                     Assume((last >> SPACE_BITS - low) == 0), Assume(~unit.clear | ~unit.busy)]
        self._kept(m, command.valid, command.ready, command.payload)

    def _kept(self, m: Module, valid, ready, payload) -> None:
        """The surroundings keep to the rule of streams."""
        waits = _before(m, valid & ~ready, "waits")
        m.d.comb += Assume(~waits | (valid & (Value.cast(payload) == _before(m, payload, "waiting"))))

    def _stays(self, m: Module, valid, ready, fields: Iterable, name: str) -> None:
        payload = Cat(fields)
        waits = _before(m, valid & ~ready, "offered")
        m.d.comb += Assert(~waits | (valid & (payload == _before(m, payload, "offer"))), name)

    def _read(self, m: Module, asked, length) -> None:
        """A memory that gives as many beats as were asked for."""
        bus, owed = self.unit.bus, Signal(COUNT_BITS + 4)
        m.d.sync += owed.eq(owed + Mux(asked, length + 1, 0) - (bus.rvalid & bus.rready))
        m.d.comb += [Assume(~bus.rvalid | (owed != 0)),
                     Assert(self.unit.busy | (owed == 0), "at rest nothing is outstanding"),
                     Cover(self.unit.fault.kind.as_value().any() & ~self.unit.busy, "at rest after a fault"),
                     Cover(bus.rvalid & bus.rready & (owed == self._burst_beats + 1), "two bursts under way")]

    def _write(self, m: Module, addressed, address, length) -> None:
        """A memory that answers a burst once it has its address and data."""
        unit, bus = self.unit, self.unit.bus
        addresses, bursts, answers = (Signal(COUNT_BITS, name=name) for name in ("addresses", "bursts", "answers"))
        beat = Signal(8)
        sent = bus.wvalid & bus.wready
        m.d.sync += [addresses.eq(addresses + addressed), bursts.eq(bursts + (sent & bus.wlast)),
                     answers.eq(answers + (bus.bvalid & bus.bready))]
        with m.If(sent):
            m.d.sync += beat.eq(Mux(bus.wlast, 0, beat + 1))
        stopped = _before(m, unit.stop & unit.busy, "stopped")
        m.d.comb += [
            Assume(~bus.bvalid | ((answers != addresses) & (answers != bursts))), Assume(~stopped | unit.stop),
            Assume(~addresses.all() & ~bursts.all()),
            Assert(unit.busy | ((addresses == answers) & (bursts == answers)), "at rest nothing is outstanding"),
            Cover(unit.fault.kind.as_value().any() & ~unit.busy, "at rest after a fault"), Cover(unit.done, "done"),
            Cover(bursts > addresses, "data before its address")]
        self._kept(m, unit.unit.valid, unit.unit.ready, unit.unit.payload)
        self._stays(m, bus.wvalid, bus.wready, [bus.wdata, bus.wstrb, bus.wlast], "data on offer stays")
        self._watch(m, addressed & (addresses == self.watched["burst"]), address, length,
                    sent & (bursts == self.watched["burst"]), beat)

    def _watch(self, m: Module, addressed, address, length, sent, beat) -> None:
        """Of the watched burst: its address and length, its beats, the strobes of one of them."""
        bus, grain = self.unit.bus, self.watched["grain"]
        known, ended, strobed = Signal(), Signal(), Signal()
        start, beats, last, strobes = Signal(SPACE_BITS), Signal(8), Signal(8), Signal(self._bus_bytes)
        with m.If(addressed):
            m.d.sync += [known.eq(1), start.eq(address), beats.eq(length)]
        with m.If(sent):
            m.d.sync += [last.eq(beat), ended.eq(bus.wlast)]
            with m.If(beat == self.watched["beat"]):
                m.d.sync += [strobed.eq(1), strobes.eq(bus.wstrb)]
        low = exact_log2(self._bus_bytes)
        here = start[low:] + self.watched["beat"] == grain[low:]
        with m.If(known):
            m.d.comb += [Assert(~ended | (last == beats), "WLAST is the last beat of its burst"),
                         Assert(~strobed | ~here | ~strobes.bit_select(grain[:low], 1),
                                "no byte outside of the commands is written")]


def _before(m: Module, value, name: str, first=None) -> Signal:
    """The value in the cycle before; zero, or `first`, in the first one."""
    kept = Signal(len(Value.cast(value)), name=name)
    m.d.sync += kept.eq(value)
    if first is None:
        return kept
    begun = Signal(name=f"{name}_known")
    m.d.sync += begun.eq(1)
    return Mux(begun, kept, first)

