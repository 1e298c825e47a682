# SPDX-License-Identifier: Apache-2.0
"""LOAD: rows of lines from DRAM to the buffer."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.config import TILE, MachineConfig
from hw.control.fault import Access, Fault, FaultKind
from hw.control.queue import RegisterQueue
from hw.memory.axi import BURST_BEATS, OUTSTANDING, UNIT_BITS, read_signature
from hw.memory.axi_read import AxiReader
from hw.memory.halt import ends, gate
from hw.memory.lines import address_shape, line_shape, read_layout, write_layout
from hw.memory.rows import TransferLayout, TransferRows


class Load(Component):
    """Carry out loads in order; the next one's reads begin while the last one's data is still coming.

    Parameters
    ----------
    config : MachineConfig
        Uses bus_bytes, ccpes, buffers, buffer_lines.
    burst_beats, outstanding : int
        Most beats of a burst; bursts, and rows, under way.

    Members
    -------
    command : In(stream of TransferLayout)
    done : Out(1)
        A pulse for each load, in order: all of it is in the buffer.
    request : Out(stream of read requests), data : In(stream of lines)
        Read client of the buffer, for tables.
    write : Out(stream of write requests)
        Write client of the buffer.
    stop : In(1), clear : In(1), busy : Out(1)
        A cycle of `stop` ends what is under way: nothing more is asked for, what still comes is dropped; commands are
        dropped too while it lasts and until `busy` falls. `clear`, while not busy, removes the fault.
    fault : Out(Fault)
        As `TransferRows` and `AxiReader` say; the block then stops by itself, and takes no command (but with `stop`
        drops them) until cleared.
    bus : Out(read_signature)

    Latency: 3 cycles from command to AR, 1 from R to write, 1 from the last write to done. Throughput: a beat or a line
    a cycle, whichever is smaller; a row a cycle, a cycle lost between loads; with a table as `TransferRows` says.
    """

    latency = 3

    def __init__(self, config: MachineConfig, burst_beats: int = BURST_BEATS, outstanding: int = OUTSTANDING) -> None:
        self._config, self._burst_beats, self._outstanding = config, burst_beats, outstanding
        super().__init__({
            "command": In(stream.Signature(TransferLayout)), "done": Out(1),
            "request": Out(stream.Signature(read_layout(config))), "data": In(stream.Signature(line_shape(config))),
            "write": Out(stream.Signature(write_layout(config))), "stop": In(1), "clear": In(1), "busy": Out(1),
            "fault": Out(Fault), "bus": Out(read_signature(config.bus_bytes))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.rows = rows = TransferRows(config, Access.LOAD)
        m.submodules.reader = reader = AxiReader(config.bus_bytes, config.line_bytes, self._burst_beats,
                                                 self._outstanding, Access.LOAD)
        m.submodules.places = places = RegisterQueue(data.StructLayout({
            "line": address_shape(config), "lines": UNIT_BITS, "last": 1}), self._outstanding)
        connect(m, rows.request, flipped(self.request))
        connect(m, flipped(self.data), rows.data)
        connect(m, reader.bus, flipped(self.bus))
        refused, failed = rows.fault.kind != FaultKind.NONE, self.fault.kind != FaultKind.NONE
        gate(m, self.command, rows.command, self.stop | ~failed)
        m.d.comb += [self.fault.eq(Mux(refused, rows.fault, reader.fault)), rows.clear.eq(self.clear),
                     reader.clear.eq(self.clear)]
        self._fork(m, rows.row, reader.command, places.i)
        stopping, active = Signal(), rows.busy | reader.busy | places.o.valid
        m.d.comb += [stopping.eq(ends(m, self.stop | failed, active)), rows.stop.eq(stopping),
                     reader.stop.eq(stopping), self.busy.eq(active)]
        self._write(m, places.o, reader, stopping)
        return m

    def _fork(self, m: Module, row, command, place) -> None:
        """A row to the reader, unless it has no lines, and its place in the buffer to the queue."""
        null = row.p.lines == 0
        m.d.comb += [command.p.address.eq(row.p.dram), command.p.units.eq(row.p.lines), command.p.last.eq(row.p.last),
                     place.p.line.eq(row.p.line), place.p.lines.eq(row.p.lines), place.p.last.eq(row.p.last),
                     command.valid.eq(row.valid & ~null & place.ready),
                     place.valid.eq(row.valid & (null | command.ready)),
                     row.ready.eq(place.ready & (null | command.ready))]

    def _write(self, m: Module, place, reader, stopping) -> None:
        """Lines to their places. A write that is offered stays, stop or not; what comes after it is dropped."""
        unit, write = reader.unit, self.write
        index, final, drop, dropping = Signal(UNIT_BITS), Signal(), Signal(), Signal()
        null, taken = place.p.lines == 0, write.valid & write.ready
        m.d.comb += [
            drop.eq(dropping | (reader.fault.kind != FaultKind.NONE)), final.eq(index + 1 == place.p.lines),
            write.valid.eq(place.valid & ~null & unit.valid & ~drop), write.p.address.eq(place.p.line + index),
            write.p.line.eq(unit.payload), write.p.mask.eq((1 << TILE * self._config.ccpes) - 1),
            unit.ready.eq(drop | (place.valid & ~null & write.ready)),
            place.ready.eq(drop | null | (taken & final))]
        m.d.sync += [self.done.eq(~drop & place.valid & place.p.last & place.ready),
                     dropping.eq(stopping & (dropping | ~write.valid | write.ready))]
        with m.If(drop | (taken & final)):
            m.d.sync += index.eq(0)
        with m.Elif(taken):
            m.d.sync += index.eq(index + 1)
