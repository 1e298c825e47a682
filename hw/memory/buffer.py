# SPDX-License-Identifier: Apache-2.0
"""Global buffer: banks of lines behind a crossbar that its clients share."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.control.arbiter import RoundRobin
from hw.control.queue import RegisterQueue
from hw.memory.bank import BufferBank
from hw.memory.lines import line_shape, read_layout, write_layout

#: Lines that a read client may have asked for and not yet taken: covers the latency, so a line a cycle is kept up.
LINES_AHEAD = 3


class Buffer(Component):
    """All banks; each client reads or writes any of them (ViDA, global buffer and its crossbar).

    Clients that want the same bank in one cycle are served in turn. A client's lines come in the order of its requests.

    Parameters
    ----------
    config : MachineConfig
        Uses buffers, buffer_lines, ccpes.
    readers, writers : int
        Number of clients of each kind.

    Members
    -------
    request[n] : In(stream of read requests), data[n] : Out(stream of lines)
        Read client n.
    write[n] : In(stream of write requests)
        Write client n; what was accepted is seen by every read accepted later.

    Latency: 2 cycles from an accepted request to its line. Throughput: a read and a write a bank and cycle; a line a
    cycle for a client alone at its bank.
    """

    latency = 2

    def __init__(self, config: MachineConfig, readers: int, writers: int) -> None:
        self._config, self._readers, self._writers = config, readers, writers
        self.banks = [BufferBank(config) for _ in range(config.buffers)]
        super().__init__({
            "request": In(stream.Signature(read_layout(config))).array(readers),
            "data": Out(stream.Signature(line_shape(config))).array(readers),
            "write": In(stream.Signature(write_layout(config))).array(writers)})

    def elaborate(self, platform):
        m = Module()
        banks = self.banks
        queues = [RegisterQueue(line_shape(self._config), LINES_AHEAD) for _ in range(self._readers)]
        room = Signal(self._readers)
        for n, queue in enumerate(queues):
            m.submodules[f"lines_{n}"] = queue
            connect(m, queue.o, flipped(self.data[n]))
            self._credit(m, n, room)
        for b, bank in enumerate(banks):
            m.submodules[f"bank_{b}"] = bank
        arrive = self._share(m, "read", self.request, room, [(bank.read, bank.read_enable) for bank in banks])
        self._share(m, "write", self.write, C(-1, self._writers), [(bank.write, bank.write_enable) for bank in banks])
        for n, queue in enumerate(queues):
            chosen = Signal(len(banks), name=f"chosen_{n}")
            m.d.sync += chosen.eq(Cat(gone[n] for gone in arrive))
            m.d.comb += [queue.i.valid.eq(chosen.any()),
                         queue.i.payload.eq(reduce(or_, (Mux(chosen[b], bank.line.as_value(), 0)
                                                         for b, bank in enumerate(banks))))]
        return m

    def _credit(self, m: Module, n: int, room: Signal) -> None:
        """A line is asked for only if there will be a place for it: banks do not wait."""
        request, line, asked = self.request[n], self.data[n], Signal(range(LINES_AHEAD + 1), name=f"asked_{n}")
        m.d.comb += room[n].eq(asked != LINES_AHEAD)
        m.d.sync += asked.eq(asked + (request.valid & request.ready) - (line.valid & line.ready))

    def _share(self, m: Module, kind: str, clients, room, ports) -> list[Signal]:
        """Banks' ports to clients in turn; returns for each bank whose request went."""
        went, low = [], exact_log2(self._config.buffer_lines)
        free = [Signal(len(clients), name=f"{kind}_free_{b}") for b in range(len(ports))]
        for b, (port, enable) in enumerate(ports):
            m.submodules[f"{kind}_arbiter_{b}"] = arbiter = RoundRobin(len(clients))
            gone = Signal(len(clients), name=f"{kind}_gone_{b}")
            wants = Cat(client.valid & (client.p.address[low:] == b) for client in clients) & room
            m.d.comb += [arbiter.requests.eq(wants), free[b].eq(arbiter.free), gone.eq(arbiter.requests & arbiter.free),
                         enable.eq(gone.any()),
                         port.eq(reduce(or_, (Mux(gone[n], client.payload.as_value(), 0)
                                              for n, client in enumerate(clients))))]
            went.append(gone)
        for n, client in enumerate(clients):
            bank = client.p.address[low:]
            m.d.comb += client.ready.eq(Cat(row[n] for row in free).bit_select(bank, 1)
                                        & room[n])
        return went
