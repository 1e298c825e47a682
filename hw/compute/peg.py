# SPDX-License-Identifier: Apache-2.0
"""Processing-element group: CCPEs in step behind one interface, for digits and for the native baseline `dense8`."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.compute.ccpe import CCPE
from hw.config import TILE, Lane, MachineConfig
from hw.control.counters import Counters, CounterValues
from hw.control.queue import RegisterQueue
from hw.memory.right_reader import RightReader
from hw.memory.right_store import RightStore
from hw.payloads import init_layout, job_layout, native_layout, op_layout, result_layout, right_layout, segments_layout
from hw.recover.drain import drain_control
from hw.route.allocation import AllocationUnit
from hw.route.issue import IssueUnit, NativeIssue
from hw.route.merge import MergeUnit

#: Jobs that may be accepted ahead of the accumulators; those of them whose tiles are not closed.
JOBS_AHEAD, JOBS_OPEN = 4, 3


def issue_unit(config: MachineConfig) -> type[IssueUnit]:
    """The unit between the left stream and the lanes that the configuration asks for."""
    if config.lane is Lane.NATIVE:
        return NativeIssue
    return MergeUnit if config.merges else AllocationUnit


class PEG(Component):
    """Compute tiles of 4 x (4 x CCPEs) results, job after job (ViDA, PE group).

    A job is a panel of four left rows against one right slot: result = init + left x right, modulo 2^acc_bits. A
    tile is issued only while its job is here and its right slot is full. Issue unit, right store and drain control
    are shared; CCPEs get the same digits and command. Depth, lanes, buses and policy do not show outside.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    job : In(stream of job)
        Jobs in order.
    left : In(stream of segments, or of native beats)
        Left panels in the order of the jobs.
    right : In(stream of right rows)
        Slots in the order 0, 1, 0, ...; a slot is refilled after a job with `release`.
    init : In(stream of init rows)
        One beat for every `bias` job, four for every `tile` job, in the order of the jobs; a tile that has shown
        its first beat must not wait for a result of this PEG.
    result : Out(stream of result rows)
        Four beats for every job with `emit`, row 0 first.
    clear : In(1), counters : Out(CounterValues)
        Performance counters.

    Latency: `latency` cycles from an accepted last left beat to the first result row, lanes empty and operands
    resident. Throughput: `depth` dense segments (native: columns) and one sparse non-zero a cycle; a tile costs no
    more than its issues, and 4 cycles of drain where it is in place.
    Numerics: exact modulo 2^acc_bits.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        left = segments_layout(config) if config.lane is Lane.DIGIT else native_layout(config)
        # To the op, to its right rows, to its product; the drain counts from the op's arrival at the accumulators.
        self.latency = (issue_unit(config).latency + RightStore.latency + CCPE.latency - 1
                        + drain_control(config).latency)
        super().__init__({
            "job": In(stream.Signature(job_layout(config))), "left": In(stream.Signature(left)),
            "right": In(stream.Signature(right_layout(config))), "init": In(stream.Signature(init_layout(config))),
            "result": Out(stream.Signature(result_layout(config))),
            "clear": In(1), "counters": Out(CounterValues)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.issue = issue = issue_unit(config)(config)
        m.submodules.store = store = RightStore(config)
        m.submodules.drain = drain = drain_control(config)(config)
        connect(m, flipped(self.left), issue.left)
        connect(m, flipped(self.right), store.right)
        advance = drain.command.advance
        m.d.comb += [issue.advance.eq(advance), store.advance.eq(advance), store.slot.eq(issue.op.slot),
                     store.k.eq(issue.op.k)]

        here = self._jobs(m, issue, store, drain)
        op, arriving = Signal(op_layout(config)), Signal(3)   # at the multipliers; valid, first, last at the sum
        with m.If(advance):
            m.d.sync += [op.eq(issue.op), arriving.eq(Cat(op.valid, op.first, op.last))]
        m.d.comb += Cat(drain.arriving, drain.first, drain.last).eq(arriving)
        self._elements(m, op, store, drain)
        self._result(m, drain)
        self._count(m, issue, drain, here)
        return m

    def _jobs(self, m: Module, issue: IssueUnit, store: RightStore, drain):
        """A job is read twice: by the issue unit when it opens and closes the tile, later by the drain control."""
        shape = job_layout(self._config)
        m.submodules.issue_jobs = window = RegisterQueue(shape, JOBS_OPEN)
        m.submodules.drain_jobs = queue = RegisterQueue(shape, JOBS_AHEAD)
        connect(m, queue.o, drain.job)
        m.d.comb += [self.job.ready.eq(window.i.ready & queue.i.ready),
                     window.i.payload.eq(self.job.payload), window.i.valid.eq(self.job.valid & queue.i.ready),
                     queue.i.payload.eq(self.job.payload), queue.i.valid.eq(self.job.valid & window.i.ready)]

        job, after = window.o.p, window.second
        here, closing = Signal(), Signal()
        m.d.comb += [
            here.eq(window.o.valid & store.full.bit_select(job.slot, 1)),
            closing.eq(issue.advance & issue.op.valid & issue.op.last), window.o.ready.eq(closing),
            issue.here.eq(window.o.valid), issue.here_next.eq(window.second_valid), issue.go.eq(here),
            issue.threshold.eq(job.threshold), issue.slot.eq(job.slot),
            issue.threshold_next.eq(after.threshold),
            issue.go_next.eq(window.second_valid & store.full.bit_select(after.slot, 1)
                             & ~(job.release & (after.slot == job.slot)))]
        m.d.comb += store.free.bit_select(job.slot, 1).eq(closing & job.release)
        return here

    def _elements(self, m: Module, op, store: RightStore, drain) -> None:
        """Digits and right rows to the CCPEs; under `merge` the elements choose, else the reader has chosen."""
        config = self._config
        rows, sparse_row = store.row, None
        if not config.merges:
            m.submodules.reader = reader = RightReader(config)
            m.d.comb += reader.row.eq(store.row)
            if config.dense_depth:
                rows = reader.dense
                m.d.comb += reader.upper.eq(Cat(slot.upper for slot in op.dense))
            if config.sparse_lanes:
                sparse_row = reader.sparse
                m.d.comb += [reader.bank.eq(op.sparse.bank), reader.fresh.eq(op.sparse.fresh),
                             reader.advance.eq(drain.command.advance)]
        for n in range(config.ccpes):
            m.submodules[f"ccpe_{n}"] = ccpe = CCPE(config)
            m.d.comb += ccpe.command.eq(drain.command)
            for j, slot in enumerate(op.dense):
                m.d.comb += [ccpe.dense_left[r][j].eq(slot.left[r]) for r in range(TILE)]
                if config.merges:
                    m.d.comb += [ccpe.dense_select[r][j].eq(slot.select[r]) for r in range(TILE)]
                elif config.lane is Lane.DIGIT:
                    m.d.comb += ccpe.dense_plane[j].eq(slot.plane)
            if config.merges:
                m.d.comb += ccpe.dense_plane.eq(op.plane)
            if config.sparse_lanes:
                m.d.comb += [ccpe.sparse_left.eq(op.sparse.left), ccpe.sparse_plane.eq(op.sparse.plane),
                             ccpe.sparse_row.eq(op.sparse.row)]
            self._columns(m, n, ccpe, rows, sparse_row)

    def _columns(self, m: Module, n: int, ccpe: CCPE, rows, sparse_row) -> None:
        """Four columns of every row belong to CCPE n."""
        for c in range(TILE):
            column = n * TILE + c
            m.d.comb += [ccpe.init[c].eq(self.init.p.value[column]), self.result.p.value[column].eq(ccpe.result[c])]
            m.d.comb += [ccpe.dense_right[i][c].eq(rows[i][column]) for i in range(self._config.right_reads)]
            if sparse_row is not None:
                m.d.comb += ccpe.sparse_right[c].eq(sparse_row[column])

    def _result(self, m: Module, drain) -> None:
        result = self.result.p
        m.d.comb += [
            drain.init_valid.eq(self.init.valid), self.init.ready.eq(drain.init_ready),
            self.result.valid.eq(drain.result_valid), drain.result_ready.eq(self.result.ready),
            result.row.eq(drain.row), result.last.eq(drain.row == TILE - 1), result.rows.eq(drain.header.rows),
            result.cols.eq(drain.header.cols), result.emit.eq(drain.header.emit), result.tag.eq(drain.header.tag)]

    def _count(self, m: Module, issue: IssueUnit, drain, here) -> None:
        m.submodules.counters = counters = Counters(self._config)
        op = issue.op
        m.d.comb += [
            counters.clear.eq(self.clear), self.counters.eq(counters.values),
            counters.op_taken.eq(issue.advance & op.valid), counters.last.eq(op.last),
            counters.segments.eq(op.segments), counters.digits.eq(op.digits),
            counters.sparse.eq(op.sparse.valid if self._config.sparse_lanes else 0),
            counters.wait_left.eq(issue.advance & ~op.valid & here), counters.wait_job.eq(issue.advance & ~here),
            counters.wait_init.eq(drain.wait_init), counters.wait_result.eq(drain.wait_result)]
