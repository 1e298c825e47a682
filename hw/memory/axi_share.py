# SPDX-License-Identifier: Apache-2.0
"""One AXI read port for several masters."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.control.queue import RegisterQueue
from hw.memory.axi import INCR, AddressLayout, read_signature
from hw.memory.line_share import next_turn


class AxiReadShare(Component):
    """Bursts of several read masters in turn on one port; what comes back goes to who asked.

    Responses keep the order of the bursts, so a master must have room for what it asks for, or not depend on the
    others to make it.

    Parameters
    ----------
    masters : int
        At least 2.
    bus_bytes : int
        Bytes of a beat.
    outstanding : int
        Bursts of all masters that may be under way, at least 2.

    Members
    -------
    master : array of In(read_signature)
    bus : Out(read_signature)

    Latency: 1 cycle from a master's AR to the bus's where it is its turn, one more where it was another's; R at once.
    Throughput: a burst a cycle, from one master or several.
    """

    latency = 1

    def __init__(self, masters: int, bus_bytes: int, outstanding: int) -> None:
        self._masters, self._bytes, self._outstanding = masters, bus_bytes, outstanding
        port = read_signature(bus_bytes)
        super().__init__({"master": In(port).array(masters), "bus": Out(port)})

    def elaborate(self, platform):
        m = Module()
        bus, masters = self.bus, [self.master[n] for n in range(self._masters)]
        turn = Signal(range(self._masters))
        m.submodules.addresses = addresses = RegisterQueue(AddressLayout, 2)
        m.submodules.owners = owners = RegisterQueue(range(self._masters), self._outstanding)
        room, asks, owner = Signal(), Array(master.arvalid for master in masters), owners.o.payload
        m.d.comb += [
            room.eq(addresses.i.ready & owners.i.ready), owners.i.payload.eq(turn),
            addresses.i.p.address.eq(Array(master.araddr for master in masters)[turn]),
            addresses.i.p.len.eq(Array(master.arlen for master in masters)[turn]),
            bus.arvalid.eq(addresses.o.valid), addresses.o.ready.eq(bus.arready), bus.araddr.eq(addresses.o.p.address),
            bus.arlen.eq(addresses.o.p.len), bus.arsize.eq(exact_log2(self._bytes)), bus.arburst.eq(INCR),
            bus.rready.eq(owners.o.valid & Array(master.rready for master in masters)[owner]),
            owners.o.ready.eq(bus.rvalid & bus.rready & bus.rlast)]
        m.d.comb += [queue.i.valid.eq(asks[turn] & room) for queue in (addresses, owners)]
        for n, master in enumerate(masters):
            m.d.comb += [master.arready.eq(room & (turn == n)), master.rdata.eq(bus.rdata), master.rresp.eq(bus.rresp),
                         master.rlast.eq(bus.rlast), master.rvalid.eq(bus.rvalid & owners.o.valid & (owner == n))]
        with m.If(~asks[turn] | room):
            next_turn(m, turn, asks, self._masters)
        return m
