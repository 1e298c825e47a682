# SPDX-License-Identifier: Apache-2.0
"""AXI4 as the machine's masters speak it (ARM IHI 0022): the signals, and what the engines behind them are told.

One identifier, INCR bursts of full-width beats at bus-aligned addresses, in order, byte strobes; a burst stays within
an aligned window of `burst_beats` beats and so never crosses 4 KiB. Signals have the names of the specification,
so tools recognise the interface. A master's `cache` and `prot`, always the same, are for the integrator to tie.
"""

from __future__ import annotations

from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from hw.control.fault import ADDRESS_BITS

#: Bytes of the pages that no burst crosses.
PAGE = 4096
#: The one type of burst: the address goes up.
INCR = 1
#: Beats of the longest burst, and bursts under way, of the DMA.
BURST_BEATS, OUTSTANDING = 16, 8
#: Bits of a command's number of units.
UNIT_BITS = 16


def read_signature(bus_bytes: int) -> Signature:
    """Read channels AR and R, as a master sees them."""
    return Signature(_address("ar") | {
        "rid": In(1), "rdata": In(8 * bus_bytes), "rresp": In(2), "rlast": In(1), "rvalid": In(1), "rready": Out(1)})


def write_signature(bus_bytes: int) -> Signature:
    """Write channels AW, W and B, as a master sees them."""
    return Signature(_address("aw") | {
        "wdata": Out(8 * bus_bytes), "wstrb": Out(bus_bytes), "wlast": Out(1), "wvalid": Out(1), "wready": In(1),
        "bid": In(1), "bresp": In(2), "bvalid": In(1), "bready": Out(1)})


def axi_signature(bus_bytes: int) -> Signature:
    """All five channels, as a master sees them."""
    return Signature({**read_signature(bus_bytes).members, **write_signature(bus_bytes).members})


def _address(name: str) -> dict:
    return {f"{name}id": Out(1), f"{name}addr": Out(ADDRESS_BITS), f"{name}len": Out(8), f"{name}size": Out(3),
            f"{name}burst": Out(2), f"{name}valid": Out(1), f"{name}ready": In(1)}


#: To an engine: `units` units, at least 1, from `address` on (a multiple of the unit); `last` comes back when all
#: of it has been done.
CommandLayout = data.StructLayout({"address": ADDRESS_BITS, "units": UNIT_BITS, "last": 1})

#: A burst on its way to AR or AW; `len` is beats - 1.
AddressLayout = data.StructLayout({"address": ADDRESS_BITS, "len": 8})
