# SPDX-License-Identifier: Apache-2.0
"""Loaders of what a tile starts from and is scaled by: lines of the global buffer become init and scale beats."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import TILE, MachineConfig
from hw.control.fork import fork
from hw.control.queue import RegisterQueue
from hw.memory.operands import AHEAD, MATMUL, ask, kept, loops, part_of, reader_ports, set_walk, steps
from hw.memory.walker import OutsideLayout, Walker
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX
from hw.payloads import Init, init_layout, scale_layout


def entries(line):
    """A line of int32 as its 4 x CCPEs entries."""
    return [word.word_select(q, 32) for word in line for q in range(TILE)]


class InitLoader(Component):
    """Feed a group with inits: a bias row for every tile, or the four rows (or columns) of its accumulators.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    command : In(stream of MATMUL instructions)
    request, data : buffer read port
    init : Out(stream of init rows)
    outside : Out(OutsideLayout)
        As in `Walker`.

    Latency: 2 cycles from a command to its first request. Throughput: a beat a cycle while lines come.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({"command": In(stream.Signature(MATMUL)),
                          "init": Out(stream.Signature(init_layout(config))), "outside": Out(OutsideLayout),
                          **reader_ports(config)})

    def elaborate(self, platform):
        m = Module()
        fields = part_of(MATMUL, "rows", "cols", "init", "init_transposed", "init_address", "init_pitch")
        m.submodules.queue = queue = RegisterQueue(fields, AHEAD)
        m.submodules.walker = walker = Walker(self._config, 3, worded=1)
        m.d.comb += [*kept(self.command.p, queue.i.p), queue.i.valid.eq(self.command.valid),
                     self.command.ready.eq(queue.i.ready)]
        p, pitch = queue.o.p, queue.o.p.init_pitch
        tile = Init(p.init) == Init.TILE
        turned = tile & p.init_transposed
        set_walk(m, walker, queue.o, (*loops(self._config, p), Mux(tile, TILE, 1)),
                 (Mux(turned, pitch << exact_log2(self._config.ccpes), Mux(tile, TILE, 1)),
                  Mux(turned, TILE, Mux(tile, pitch, 0)), 1),
                 address=p.init_address, transposed=turned, pitch=pitch)
        ask(m, walker, self.request)
        m.d.comb += self.outside.eq(walker.outside)
        m.d.comb += [self.init.valid.eq(self.data.valid), self.data.ready.eq(self.init.ready)]
        m.d.comb += [self.init.p.value[n].eq(entry) for n, entry in enumerate(entries(self.data.p))]
        return m


class ScaleLoader(Component):
    """Feed a group's requantiser: the multipliers of each column tile, once a panel.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    command : In(stream of MATMUL instructions)
    request, data : buffer read port
    scale : Out(stream of scales)
    outside : Out(OutsideLayout)
        As in `Walker`.

    Latency: 2 cycles from a command to its first request. Throughput: a beat a cycle.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({"command": In(stream.Signature(MATMUL)),
                          "scale": Out(stream.Signature(scale_layout(config))), "outside": Out(OutsideLayout),
                          **reader_ports(config)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walk_queue = places = RegisterQueue(part_of(MATMUL, "cols", "scale"), AHEAD)
        m.submodules.beat_queue = panels = RegisterQueue(part_of(MATMUL, "rows", "cols", "shift"), AHEAD)
        m.submodules.walker = walker = Walker(config, 1)
        m.submodules.beats = beats = Walker(config, 2)
        m.d.comb += [*kept(self.command.p, places.i.p), *kept(self.command.p, panels.i.p)]
        fork(m, self.command, [places.i, panels.i])
        set_walk(m, walker, places.o, (steps(places.o.p.cols, config.columns),), (1,), address=places.o.p.scale)
        set_walk(m, beats, panels.o, loops(config, panels.o.p), ())
        ask(m, walker, self.request)
        m.d.comb += self.outside.eq(walker.outside)

        shift = Signal(range(SHIFT_MAX + 1))
        with m.If(panels.o.valid & panels.o.ready):
            m.d.sync += shift.eq(panels.o.p.shift)
        m.d.comb += [self.scale.valid.eq(beats.place.valid & self.data.valid), self.scale.p.shift.eq(shift),
                     beats.place.ready.eq(self.scale.ready & self.data.valid),
                     self.data.ready.eq(beats.place.valid & self.scale.ready & beats.place.p.end[1])]
        m.d.comb += [self.scale.p.multiplier[n].eq(entry[:MULTIPLIER_BITS])
                     for n, entry in enumerate(entries(self.data.p))]
        return m
