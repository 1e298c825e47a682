# SPDX-License-Identifier: Apache-2.0
"""Job issuer: the tiles of a matmul as the group's jobs."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import TILE, MachineConfig
from hw.memory.operands import MATMUL, kept, loops, part_of, set_walk
from hw.memory.walker import Walker
from hw.payloads import Init, job_layout


class JobIssuer(Component):
    """Give a group one job a tile: column tiles outermost, panels inside; right slots 0, 1, 0, ... in turn.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    command : In(stream of MATMUL instructions)
    job : Out(stream of jobs)

    Latency: 1 cycle. Throughput: a job a cycle.
    """

    latency = 1

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({"command": In(stream.Signature(MATMUL)), "job": Out(stream.Signature(job_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        columns = self._config.columns
        m.submodules.walker = walker = Walker(self._config, 2)
        now = Signal(part_of(MATMUL, "rows", "cols", "k", "init", "init_transposed", "emit_accumulators", "emit_int8",
                             "threshold", "tag"))
        slot, job = Signal(), self.job.p
        set_walk(m, walker, self.command, loops(self._config, self.command.p), ())
        m.d.comb += [self.job.valid.eq(walker.place.valid), walker.place.ready.eq(self.job.ready)]
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += kept(self.command.p, now)
        last_tile, last_panel = walker.place.p.end
        with m.If(self.job.valid & self.job.ready & last_panel):
            m.d.sync += slot.eq(~slot)
        m.d.comb += [
            job.rows.eq(Mux(last_panel, (now.rows - 1)[:exact_log2(TILE)] + 1, TILE)),
            job.cols.eq(Mux(last_tile, (now.cols - 1)[:exact_log2(columns)] + 1, columns)),
            job.k.eq(now.k), job.init.eq(Init(now.init)), job.transposed.eq(now.init_transposed),
            job.emit.eq(Cat(now.emit_accumulators, now.emit_int8)), job.slot.eq(slot), job.release.eq(last_panel),
            job.threshold.eq(now.threshold), job.tag.eq(now.tag)]
        return m
