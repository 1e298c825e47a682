# SPDX-License-Identifier: Apache-2.0
"""How a unit that moves data ends what is under way."""

from __future__ import annotations

from amaranth.hdl import Module, Signal


def ends(m: Module, stop, active):
    """`stop`, kept up until nothing is active."""
    kept = Signal(name="stopped")
    m.d.sync += kept.eq((stop | kept) & active)
    return stop | kept


def gate(m: Module, source, sink, is_open) -> None:
    """Join two streams while `is_open`; a beat on offer as it closes waits."""
    m.d.comb += [sink.payload.eq(source.payload), sink.valid.eq(source.valid & is_open),
                 source.ready.eq(sink.ready & is_open)]
