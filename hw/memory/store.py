# SPDX-License-Identifier: Apache-2.0
"""STORE: rows of lines from the buffer to DRAM."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.config import MachineConfig
from hw.control.fault import Access, Fault, FaultKind
from hw.control.queue import RegisterQueue
from hw.memory.axi import BURST_BEATS, OUTSTANDING, UNIT_BITS, write_signature
from hw.memory.axi_write import AxiWriter
from hw.memory.halt import ends, gate
from hw.memory.line_share import LineShare
from hw.memory.lines import address_shape, line_shape, read_layout
from hw.memory.rows import TransferLayout, TransferRows

#: Lines asked for and not yet on their way to the bus.
READS = 8


class Store(Component):
    """Carry out stores in order; the next one's reads begin before the last one's responses are here.

    Parameters
    ----------
    config : MachineConfig
        Uses bus_bytes, ccpes, buffers, buffer_lines.
    burst_beats, outstanding : int
        Most beats of a burst; bursts without a response.

    Members
    -------
    command : In(stream of TransferLayout)
    done : Out(1)
        A pulse for each store, in order: its last response has come, and all were good.
    request : Out(stream of read requests), data : In(stream of lines)
        Read client of the buffer, for what is stored and for tables.
    stop : In(1), clear : In(1), busy : Out(1)
        A cycle of `stop` ends what is under way: bursts already promised are ended with strobes of zero; commands are
        dropped while it lasts and until `busy` falls. `clear`, while not busy, removes the fault.
    fault : Out(Fault)
        As `TransferRows` and `AxiWriter` say; the block then stops by itself, and takes no command (but with `stop`
        drops them) until cleared.
    bus : Out(write_signature)

    Latency: 3 cycles from command to AW, 3 to the first request, 1 from line to W, 1 from B to done. Throughput: a beat
    or a line a cycle, whichever is smaller; a row a cycle, a cycle lost between stores; with a table as `TransferRows`
    says. A store of nothing waits for those before it.
    """

    latency = 3

    def __init__(self, config: MachineConfig, burst_beats: int = BURST_BEATS, outstanding: int = OUTSTANDING) -> None:
        self._config, self._burst_beats, self._outstanding = config, burst_beats, outstanding
        super().__init__({
            "command": In(stream.Signature(TransferLayout)), "done": Out(1),
            "request": Out(stream.Signature(read_layout(config))), "data": In(stream.Signature(line_shape(config))),
            "stop": In(1), "clear": In(1), "busy": Out(1), "fault": Out(Fault),
            "bus": Out(write_signature(config.bus_bytes))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.rows = rows = TransferRows(config, Access.STORE)
        m.submodules.writer = writer = AxiWriter(config.bus_bytes, config.line_bytes, self._burst_beats,
                                                 self._outstanding, Access.STORE)
        m.submodules.share = share = LineShare(config, 2, READS)
        m.submodules.places = places = RegisterQueue(data.StructLayout({
            "line": address_shape(config), "lines": UNIT_BITS}), 2)
        connect(m, rows.request, share.client_request[1])
        connect(m, share.client_data[1], rows.data)
        connect(m, share.request, flipped(self.request))
        connect(m, flipped(self.data), share.data)
        connect(m, writer.bus, flipped(self.bus))
        refused, failed = rows.fault.kind != FaultKind.NONE, self.fault.kind != FaultKind.NONE
        gate(m, self.command, rows.command, self.stop | ~failed)
        m.d.comb += [self.fault.eq(Mux(refused, rows.fault, writer.fault)), rows.clear.eq(self.clear),
                     writer.clear.eq(self.clear)]
        asked, stopping = Signal(range(READS + 1)), Signal()
        active = rows.busy | writer.busy | places.o.valid | (asked != 0)
        m.d.comb += [stopping.eq(ends(m, self.stop | failed, active)),
                     rows.stop.eq(stopping), writer.stop.eq(stopping), self.busy.eq(active)]
        empty = ~(writer.busy | places.o.valid)
        self._fork(m, rows.row, writer, places.i, empty, stopping)
        self._read(m, places.o, share.client_request[0], share.client_data[0], asked, stopping)
        connect(m, share.client_data[0], writer.unit)
        return m

    def _fork(self, m: Module, row, writer, place, empty, stopping) -> None:
        """A row to the writer and its place to the queue; one without lines only says that it is done."""
        null, command, nothing = row.p.lines == 0, writer.command, Signal()
        m.d.comb += [command.p.address.eq(row.p.dram), command.p.units.eq(row.p.lines), command.p.last.eq(row.p.last),
                     place.p.line.eq(row.p.line), place.p.lines.eq(row.p.lines),
                     command.valid.eq(row.valid & ~null & place.ready),
                     place.valid.eq(row.valid & ~null & command.ready),
                     row.ready.eq(Mux(null, empty, place.ready & command.ready)), self.done.eq(writer.done | nothing)]
        m.d.sync += nothing.eq(row.valid & null & empty & ~stopping)

    def _read(self, m: Module, place, request, line, asked, stopping) -> None:
        """Ask for the lines of each place. A request that is offered stays, stop or not."""
        index, dropping, taken = Signal(UNIT_BITS), Signal(), request.valid & request.ready
        final = index + 1 == place.p.lines
        m.d.comb += [request.valid.eq(place.valid & (asked != READS) & ~dropping),
                     request.p.address.eq(place.p.line + index), place.ready.eq(dropping | (taken & final))]
        m.d.sync += [asked.eq(asked + taken - (line.valid & line.ready)),
                     dropping.eq(stopping & (dropping | ~request.valid | request.ready))]
        with m.If(dropping | (taken & final)):
            m.d.sync += index.eq(0)
        with m.Elif(taken):
            m.d.sync += index.eq(index + 1)
