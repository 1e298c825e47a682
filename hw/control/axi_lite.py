# SPDX-License-Identifier: Apache-2.0
"""AXI4-Lite slave (ARM IHI 0022): one access of 32 bits at a time in each direction."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out, Signature

#: Response to an access that cannot be.
SLVERR = 2


def axi_lite_signature(address_bits: int) -> Signature:
    """All five channels, as a master sees them; 32 bits of data."""
    return Signature({
        "awaddr": Out(address_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1)})


class AxiLite(Component):
    """The protocol between a bus and registers that answer at once.

    Address and data of a write may come in either order. The kind of protection asked for is ignored.

    Parameters
    ----------
    address_bits : int
        Bits of a byte address.

    Members
    -------
    bus : In(axi_lite_signature)
    write : Out(1), write_address : Out(address_bits), write_data : Out(32), write_bytes : Out(4), write_legal : In(1)
        A pulse: the marked bytes are written, if that is legal; else SLVERR.
    read_address : Out(address_bits), read_data : In(32), read_legal : In(1)
        What is at the address; where reading it is not legal, SLVERR.

    Latency: 1 cycle from AR to R, 2 from AW and W to B. Throughput: an access in two (three) cycles.
    """

    latency = 1

    def __init__(self, address_bits: int) -> None:
        super().__init__({
            "bus": In(axi_lite_signature(address_bits)), "write": Out(1), "write_address": Out(address_bits),
            "write_data": Out(32), "write_bytes": Out(4), "write_legal": In(1), "read_address": Out(address_bits),
            "read_data": In(32), "read_legal": In(1)})

    def elaborate(self, platform):
        m = Module()
        bus, addressed, filled = self.bus, Signal(), Signal()
        m.d.comb += [bus.awready.eq(~addressed), bus.wready.eq(~filled), bus.arready.eq(~bus.rvalid),
                     self.write.eq(addressed & filled & ~bus.bvalid), self.read_address.eq(bus.araddr)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), self.write_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [filled.eq(1), self.write_data.eq(bus.wdata), self.write_bytes.eq(bus.wstrb)]
        with m.If(self.write):
            m.d.sync += [addressed.eq(0), filled.eq(0), bus.bvalid.eq(1),
                         bus.bresp.eq(Mux(self.write_legal, 0, SLVERR))]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(Mux(self.read_legal, self.read_data, 0)),
                         bus.rresp.eq(Mux(self.read_legal, 0, SLVERR))]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m
