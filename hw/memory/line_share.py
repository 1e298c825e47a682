# SPDX-License-Identifier: Apache-2.0
"""One read client of the buffer for several."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import MachineConfig
from hw.control.queue import RegisterQueue
from hw.memory.lines import line_shape, read_layout


class LineShare(Component):
    """Requests of several clients in turn; each line goes to who asked.

    Lines keep the order of the requests: a client that does not take its line holds up the others.

    Parameters
    ----------
    config : MachineConfig
        Uses ccpes, buffers, buffer_lines.
    clients : int
        At least 2.
    outstanding : int
        Requests without their line, at least 2.

    Members
    -------
    client_request[n] : In(stream of read requests), client_data[n] : Out(stream of lines)
    request : Out(stream of read requests), data : In(stream of lines)

    Latency: 1 cycle where it is the client's turn, one more where it was another's; lines at once.
    Throughput: a line a cycle, to one client or several.
    """

    latency = 1

    def __init__(self, config: MachineConfig, clients: int, outstanding: int = 4) -> None:
        self._config, self._clients, self._outstanding = config, clients, outstanding
        request, line = stream.Signature(read_layout(config)), stream.Signature(line_shape(config))
        super().__init__({"client_request": In(request).array(clients), "client_data": Out(line).array(clients),
                          "request": Out(request), "data": In(line)})

    def elaborate(self, platform):
        m = Module()
        clients, turn = range(self._clients), Signal(range(self._clients))
        m.submodules.asked = asked = RegisterQueue(read_layout(self._config), 2)
        m.submodules.owners = owners = RegisterQueue(range(self._clients), self._outstanding)
        asks = Array(self.client_request[n].valid for n in clients)
        room, owner = Signal(), owners.o.payload
        m.d.comb += [
            room.eq(asked.i.ready & owners.i.ready), owners.i.payload.eq(turn),
            asked.i.payload.eq(Array(self.client_request[n].payload.as_value() for n in clients)[turn]),
            self.request.valid.eq(asked.o.valid), self.request.payload.eq(asked.o.payload),
            asked.o.ready.eq(self.request.ready),
            self.data.ready.eq(owners.o.valid & Array(self.client_data[n].ready for n in clients)[owner]),
            owners.o.ready.eq(self.data.valid & self.data.ready)]
        m.d.comb += [queue.i.valid.eq(asks[turn] & room) for queue in (asked, owners)]
        for n in clients:
            m.d.comb += [self.client_request[n].ready.eq(room & (turn == n)),
                         self.client_data[n].payload.eq(self.data.payload),
                         self.client_data[n].valid.eq(self.data.valid & owners.o.valid & (owner == n))]
        with m.If(~asks[turn] | room):
            next_turn(m, turn, asks, self._clients)
        return m


def next_turn(m: Module, turn, asks, count: int) -> None:
    """The turn goes to the nearest other one that asks."""
    with m.Switch(turn):
        for n in range(count):
            with m.Case(n):
                for ahead in reversed(range(1, count)):
                    other = (n + ahead) % count
                    with m.If(asks[other]):
                        m.d.sync += turn.eq(other)
