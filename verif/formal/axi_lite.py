# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite slave under any master: every access is answered once, with what it asked for."""

from __future__ import annotations

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value

from hw.control.axi_lite import SLVERR, AxiLite
from verif.formal.circuit import free_inputs
from verif.formal.probe import Probe
from verif.formal.rules import hold_to_rules

#: What the slave is held to.
PROPERTIES = (
    "an answer to a write has its address and data", "a write is answered in the cycle after both are there",
    "a read is answered in the next cycle, and only then", "bytes are written once, where and what was asked",
    "an access that is not legal answers SLVERR", "what is read is what was at the address")
#: Bits of an address: the slave looks at none.
ADDRESS_BITS = 6


class AxiLitePart:
    """An `AxiLite`, its registers, and a master that takes answers when it pleases.

    Parameters
    ----------
    strengthen : bool
        Assert what induction needs too.
    name : str
        Begins the names of its assertions.
    """

    def __init__(self, strengthen: bool = True, name: str = "") -> None:
        self.lite, self._strengthen, self._name = AxiLite(ADDRESS_BITS), strengthen, name

    def build(self, m: Module) -> list[Value]:
        """As `Part`."""
        lite, bus = self.lite, self.lite.bus
        m.submodules += (probe := Probe(lite))
        hold_to_rules(m, lite, self._name)
        addresses, data, reads, written = (Signal(2, name=name) for name in ("addresses", "data", "reads", "written"))
        answered = bus.bvalid & bus.bready
        m.d.sync += [addresses.eq(addresses + (bus.awvalid & bus.awready) - answered),
                     data.eq(data + (bus.wvalid & bus.wready) - answered), written.eq(written + lite.write - answered),
                     reads.eq(reads + (bus.arvalid & bus.arready) - (bus.rvalid & bus.rready))]
        asked, text, legal = Signal(ADDRESS_BITS), Signal(36), Signal()
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += asked.eq(bus.awaddr)
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += text.eq(_text(bus.wdata, bus.wstrb))
        with m.If(lite.write):
            m.d.sync += legal.eq(lite.write_legal)
        read, fine, late = Signal(32), Signal(), Signal()
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [read.eq(lite.read_data), fine.eq(lite.read_legal)]
        both = (addresses != 0) & (data != 0)
        m.d.sync += late.eq(both & ~bus.bvalid)
        done = (asked == lite.write_address) & (text == _text(lite.write_data, lite.write_bytes))
        properties = (
            ~bus.bvalid | both, ~late | bus.bvalid, bus.rvalid == (reads == 1),
            (~lite.write | (done & both & (written == 0))) & (bus.bvalid == (written == 1)),
            (~bus.bvalid | (bus.bresp == Mux(legal, 0, SLVERR))) & (~bus.rvalid | (bus.rresp == Mux(fine, 0, SLVERR))),
            ~bus.rvalid | (bus.rdata == Mux(fine, read, 0)))
        m.d.comb += [Assert(holds, self._name + what) for holds, what in zip(properties, PROPERTIES, strict=False)]
        if self._strengthen:
            inner = (addresses == probe["addressed"] + bus.bvalid, data == probe["filled"] + bus.bvalid, reads < 2,
                     written < 2, ~probe["addressed"] | (asked == lite.write_address),
                     ~probe["filled"] | (text == _text(lite.write_data, lite.write_bytes)))
            m.d.comb += [Assert(holds, self._name + "inner state") for holds in inner]
        return free_inputs(lite)


def _text(data, strobes) -> Value:
    return Cat(data, strobes)
