# SPDX-License-Identifier: Apache-2.0
"""The AXI masters under any commands and any memory: what a solver holds them to."""

from __future__ import annotations

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, Signal, Value
from amaranth.utils import exact_log2

from hw.control.fault import ADDRESS_BITS, Access
from hw.memory.axi import PAGE
from hw.memory.axi_write import AxiWriter
from hw.memory.burst import Grains
from verif.formal.axi_state import read_state, splitter_state, write_state
from verif.formal.circuit import free_inputs
from verif.formal.probe import Probe
from verif.formal.rules import assert_kept, assume_kept, before

#: What the masters are held to, for tables and documents; the last four of the write master.
PROPERTIES = (
    "an address on offer stays", "bursts begin at a beat", "bursts do not cross 4 KiB", "bursts are not too long",
    "at rest nothing is outstanding", "data on offer stays", "WLAST is the last beat of its burst",
    "a burst's address and data are of one command", "no byte outside of the commands is written")

#: Bits of the counters of beats and bursts that are under way.
COUNT_BITS = 9


class AxiPart:
    """An `AxiReader` or `AxiWriter` whose commands, units, stop and memory do as they please within the rules.

    One burst and one grain of memory outside of all commands, each arbitrary, are watched: what holds of them holds of
    all. Commands do not reach beyond the address space.

    Parameters
    ----------
    name : str
        Begins the names of its assertions.
    master : type
        AxiReader or AxiWriter.
    sizes : tuple of int
        Bytes of the bus and of a unit, beats of a burst, bursts under way: as of the master.
    strengthen : bool
        Assert what induction needs too.
    """

    def __init__(self, name: str, master: type, sizes: tuple[int, int, int, int], strengthen: bool = True) -> None:
        self._name, self._writes, self._sizes, self._strengthen = name, issubclass(master, AxiWriter), sizes, strengthen
        self.unit = master(*sizes, Access.STORE if self._writes else Access.LOAD)

    def build(self, m: Module) -> list[Value]:
        """As `Part`."""
        unit, bus, grain = self.unit, self.unit.bus, Signal(ADDRESS_BITS, name="watched_grain")
        mark = Signal(name="mark")
        m.submodules += (probe := Probe(unit))
        m.d.comb += Assume(grain == before(m, grain, "grain_before", first=grain))
        self._commands(m, grain)
        prefix = "aw" if self._writes else "ar"
        address, length, valid, ready = (getattr(bus, f"{prefix}{part}") for part in ("addr", "len", "valid", "ready"))
        assert_kept(m, valid, ready, [address, length], self._of(0))
        low = exact_log2(self._sizes[0])
        end = (address[low:exact_log2(PAGE)] + length) << low
        self._hold(m, 1, ~valid | (address[:low] == 0))
        self._hold(m, 2, ~valid | (end < PAGE))
        self._hold(m, 3, ~valid | (length < self._sizes[2]))
        inner = splitter_state(probe, Grains(*self._sizes[:3]), grain if self._writes else None)
        inner += self._write(m, probe, grain, mark) if self._writes else self._read(m, probe)
        if self._strengthen:
            m.d.comb += [Assert(holds, f"{self._name}: {what}") for holds, what in inner]
        return [*free_inputs(unit), grain, mark]

    def _of(self, number: int) -> str:
        return f"{self._name}: {PROPERTIES[number]}"

    def _hold(self, m: Module, number: int, holds) -> None:
        m.d.comb += Assert(holds, self._of(number))

    def _commands(self, m: Module, grain) -> None:
        """Commands stay until taken, are whole, and leave the watched grain alone; clear comes at rest."""
        unit, command = self.unit, self.unit.command
        low = exact_log2(self._sizes[1])
        first, last = command.p.address[low:], command.p.address[low:] + command.p.units
        inside = (grain[low:] >= first) & (grain[low:] < last)
        m.d.comb += [Assume((command.p.units != 0) & (command.p.address[:low] == 0)), Assume(~command.valid | ~inside),
                     Assume(last <= 1 << ADDRESS_BITS - low), Assume(~unit.clear | ~unit.busy)]
        assume_kept(m, command.valid, command.ready, command.payload)

    def _read(self, m: Module, probe: Probe) -> list:
        """A memory that gives as many beats as were asked for."""
        bus, owed = self.unit.bus, Signal(COUNT_BITS)
        m.d.sync += owed.eq(owed + Mux(bus.arvalid & bus.arready, bus.arlen + 1, 0) - (bus.rvalid & bus.rready))
        self._hold(m, 4, self.unit.busy | (owed == 0))
        rest = self.unit.fault.kind.as_value().any() & ~self.unit.busy
        m.d.comb += [Assume(~bus.rvalid | (owed != 0)), Cover(rest, f"{self._name}: rest after a fault"),
                     Cover(bus.rvalid & bus.rready & (owed == self._sizes[2] + 1), f"{self._name}: two bursts")]
        return read_state(m, probe, Grains(*self._sizes[:3]), owed)

    def _write(self, m: Module, probe: Probe, grain, mark) -> list:
        """A memory that answers a burst once it has its address and data."""
        unit, bus = self.unit, self.unit.bus
        addressed, sent = bus.awvalid & bus.awready, bus.wvalid & bus.wready
        ended, answered = sent & bus.wlast, bus.bvalid & bus.bready
        # Bursts without answer that have gone on AW, on W; beats sent of the burst on W.
        addresses, bursts, beat = Signal(COUNT_BITS), Signal(COUNT_BITS), Signal(8)
        m.d.sync += [addresses.eq(addresses + addressed - answered), bursts.eq(bursts + ended - answered)]
        with m.If(sent):
            m.d.sync += beat.eq(Mux(bus.wlast, 0, beat + 1))
        stopped = before(m, unit.stop & unit.busy, "stopped")
        m.d.comb += [Assume(~bus.bvalid | ((addresses != 0) & (bursts != 0))), Assume(~stopped | unit.stop),
                     Cover(unit.fault.kind.as_value().any() & ~unit.busy, f"{self._name}: rest after a fault"),
                     Cover(unit.done, f"{self._name}: done"),
                     Cover(bursts > addresses, f"{self._name}: data before its address")]
        self._hold(m, 4, unit.busy | ((addresses == 0) & (bursts == 0)))
        assume_kept(m, unit.unit.valid, unit.unit.ready, unit.unit.payload)
        assert_kept(m, bus.wvalid, bus.wready, [bus.wdata, bus.wstrb, bus.wlast], self._of(5))
        watched = self._watch(m, probe, mark, addressed, ended)
        self._hold_burst(m, watched, beat, grain)
        return write_state(probe, Grains(*self._sizes[:3]), watched, grain, addresses, bursts, beat)

    def _watch(self, m: Module, probe: Probe, mark, addressed, ended) -> Watched:
        """Choose a burst as it is cut; it is so many bursts away on either channel."""
        burst, watched = probe["splitter"].burst, Watched(Grains(*self._sizes[:3]))
        enters = burst.valid & burst.ready
        behind = Signal(COUNT_BITS), Signal(COUNT_BITS)     # cut, and not yet gone on AW, on W
        for count, ahead, open_, goes in zip(behind, watched.ahead, watched.open, (addressed, ended), strict=True):
            m.d.sync += count.eq(count + enters - goes)
            with m.If(enters & mark & ~watched.known):
                m.d.sync += [ahead.eq(count - goes), open_.eq(1)]
            with m.Elif(open_ & goes):
                m.d.sync += [ahead.eq(ahead - 1), open_.eq(ahead != 0)]
        with m.If(enters & mark & ~watched.known):
            m.d.sync += [watched.known.eq(1), watched.address.eq(burst.p.address), watched.grains.eq(burst.p.grains)]
        watched.behind = behind
        return watched

    def _hold_burst(self, m: Module, watched: Watched, beat, grain) -> None:
        """The watched burst in its turn on either channel."""
        bus, low = self.unit.bus, exact_log2(self._sizes[0])
        named, here = (opened & (ahead == 0) for opened, ahead in zip(watched.open, watched.ahead, strict=True))
        self._hold(m, 7, ~(named & bus.awvalid) | ((bus.awaddr == watched.start) & (bus.awlen == watched.length)))
        self._hold(m, 6, ~(here & bus.wvalid) | (bus.wlast == (beat == watched.length)))
        meets = watched.start[low:] + beat == grain[low:]
        self._hold(m, 8, ~(here & bus.wvalid & meets) | ~bus.wstrb.bit_select(grain[:low], 1))


class Watched:
    """A burst that is followed: where it lies; `ahead`, while `open`: bursts before it on AW and on W."""

    def __init__(self, grains: Grains) -> None:
        self._grains = grains
        self.known, self.address = Signal(name="burst_known"), Signal(ADDRESS_BITS, name="burst_address")
        self.grains = Signal(range(grains.of_burst + 1), name="burst_grains")
        self.ahead = Signal(COUNT_BITS, name="ahead_aw"), Signal(COUNT_BITS, name="ahead_w")
        self.open = Signal(name="open_aw"), Signal(name="open_w")
        self.behind: tuple = ()

    @property
    def start(self) -> Value:
        """Address of its first beat."""
        return self._grains.beat_address(self.address)

    @property
    def length(self) -> Value:
        """Its beats less one."""
        return (self._grains.lane(self.address) + self.grains - 1) >> exact_log2(self._grains.of_beat)

    def leaves(self, grain) -> Value:
        """Whether the byte `grain` lies in none of its grains."""
        low = exact_log2(self._grains.bytes)
        place, first = grain[low:], self.address[low:]
        return (place < first) | (place >= first + self.grains)
