# SPDX-License-Identifier: Apache-2.0
"""A group: a PEG with the encoder before it and the requantiser behind it."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.compute.peg import PEG
from hw.config import Lane, MachineConfig
from hw.control.counters import CounterValues
from hw.encode.encoder import Encoder
from hw.payloads import (
    init_layout,
    int8_layout,
    job_layout,
    left_layout,
    native_layout,
    result_layout,
    right_layout,
    scale_layout,
)
from hw.vector.requantise import Requantise


def group_ports(config: MachineConfig) -> dict:
    """The streams of one group."""
    left = left_layout(config) if config.lane is Lane.DIGIT else native_layout(config)
    return {
        "job": In(stream.Signature(job_layout(config))), "left": In(stream.Signature(left)),
        "right": In(stream.Signature(right_layout(config))), "init": In(stream.Signature(init_layout(config))),
        "scale": In(stream.Signature(scale_layout(config))),
        "accumulators": Out(stream.Signature(result_layout(config))),
        "int8": Out(stream.Signature(int8_layout(config))),
        "clear": In(1), "counters": Out(CounterValues)}


class Group(Component):
    """A PEG with what its area counts: the encoder before it and the requantiser behind it.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    job, right, init, clear, counters
        As in `PEG`.
    left : In(stream of left beats, or of native beats)
        To the encoder; a native group has none and takes the PEG's own beats.
    scale, accumulators, int8
        As in `Requantise`.

    Latency: `latency` cycles from an accepted last left beat to the first row at `accumulators`.
    Throughput and numerics: as the parts.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        self._peg = PEG(config)
        self.latency = self._peg.latency + (Encoder.latency if config.lane is Lane.DIGIT else 0)
        super().__init__(group_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.peg = peg = self._peg
        m.submodules.requantise = requantise = Requantise(self._config)
        if self._config.lane is Lane.DIGIT:
            m.submodules.encoder = encoder = Encoder(self._config)
            connect(m, flipped(self.left), encoder.left)
            connect(m, encoder.segments, peg.left)
        else:
            connect(m, flipped(self.left), peg.left)
        for name in ("job", "right", "init"):
            connect(m, flipped(getattr(self, name)), getattr(peg, name))
        connect(m, peg.result, requantise.i)
        connect(m, flipped(self.scale), requantise.scale)
        connect(m, requantise.accumulators, flipped(self.accumulators))
        connect(m, requantise.o, flipped(self.int8))
        m.d.comb += [peg.clear.eq(self.clear), self.counters.eq(peg.counters)]
        return m
