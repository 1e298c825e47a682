# SPDX-License-Identifier: Apache-2.0
"""DMA: loads and stores on one AXI4 port and one pair of buffer clients."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.config import MachineConfig
from hw.control.fault import Fault, FaultKind
from hw.memory.axi import BURST_BEATS, OUTSTANDING, axi_signature, read_signature, write_signature
from hw.memory.axi_share import AxiReadShare
from hw.memory.line_share import LineShare
from hw.memory.lines import line_shape, read_layout, write_layout
from hw.memory.load import Load
from hw.memory.rows import TransferLayout
from hw.memory.store import Store


class Dma(Component):
    """A load and a store unit side by side; the instruction fetch is a guest on their bus.

    Parameters
    ----------
    config : MachineConfig
        Uses bus_bytes, ccpes, buffers, buffer_lines.
    burst_beats, outstanding : int
        As of `Load` and `Store`, for each.

    Members
    -------
    load, store : In(stream of TransferLayout), load_done, store_done : Out(1)
        As of `Load` and `Store`.
    fetch : In(read_signature)
        A master that takes whatever it asked for at once.
    request : Out(stream of read requests), data : In(stream of lines), write : Out(stream of write requests)
        A read and a write client of the buffer.
    stop : In(1), clear : In(1), busy : Out(1)
        Of both units.
    fault : Out(Fault)
        A load's before a store's.
    bus : Out(axi_signature)

    Latency: that of the units, and 1 cycle more (2 after another's turn) to AR, and to the request of a line.
    Throughput: a beat or a line a cycle, whichever is smaller, in each direction.
    """

    latency = 4

    def __init__(self, config: MachineConfig, burst_beats: int = BURST_BEATS, outstanding: int = OUTSTANDING) -> None:
        self._config, self._burst_beats, self._outstanding = config, burst_beats, outstanding
        command = stream.Signature(TransferLayout)
        super().__init__({
            "load": In(command), "store": In(command), "load_done": Out(1), "store_done": Out(1),
            "fetch": In(read_signature(config.bus_bytes)), "request": Out(stream.Signature(read_layout(config))),
            "data": In(stream.Signature(line_shape(config))), "write": Out(stream.Signature(write_layout(config))),
            "stop": In(1), "clear": In(1), "busy": Out(1), "fault": Out(Fault),
            "bus": Out(axi_signature(config.bus_bytes))})

    def elaborate(self, platform):
        m = Module()
        width = self._config.bus_bytes
        m.submodules.load = load = Load(self._config, self._burst_beats, self._outstanding)
        m.submodules.store = store = Store(self._config, self._burst_beats, self._outstanding)
        m.submodules.share = share = AxiReadShare(2, width, 2 * self._outstanding)
        m.submodules.lines = lines = LineShare(self._config, 2)
        for n, unit in enumerate((load, store)):
            connect(m, unit.request, lines.client_request[n])
            connect(m, lines.client_data[n], unit.data)
            m.d.comb += [unit.stop.eq(self.stop), unit.clear.eq(self.clear)]
        connect(m, flipped(self.load), load.command)
        connect(m, flipped(self.store), store.command)
        connect(m, lines.request, flipped(self.request))
        connect(m, flipped(self.data), lines.data)
        connect(m, load.write, flipped(self.write))
        connect(m, load.bus, share.master[0])
        connect(m, flipped(self.fetch), share.master[1])
        self._bus(m, share.bus, read_signature(width))
        self._bus(m, store.bus, write_signature(width))
        m.d.comb += [self.load_done.eq(load.done), self.store_done.eq(store.done), self.busy.eq(load.busy | store.busy),
                     self.fault.eq(Mux(load.fault.kind != FaultKind.NONE, load.fault, store.fault))]
        return m

    def _bus(self, m: Module, part, signature) -> None:
        """Half of the bus to where it comes from."""
        for name, member in signature.members.items():
            outer, inner = getattr(self.bus, name), getattr(part, name)
            m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
