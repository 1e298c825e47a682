# SPDX-License-Identifier: Apache-2.0
"""Drain control: when accumulators start, wait, leave and are loaded. Two variants behind one interface."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, Drain, MachineConfig
from hw.payloads import Base, Command, Fill, Init, Shift, job_layout


class DrainControl(Component):
    """Steer the accumulators of all CCPEs of a PEG, in step, through the tiles of successive jobs.

    Parameters
    ----------
    config : MachineConfig
        Uses drain, columns, tag_bits.

    Members
    -------
    arriving, first, last : In(1)
        An op stands at the accumulators; it opens, closes a tile.
    job : In(stream of job)
        Jobs in order; taken when their first op executes. Its init may be loaded before that.
    init_valid : In(1), init_ready : Out(1)
        Handshake of the init stream, whose payload goes straight to the CCPEs.
    result_valid : Out(1), result_ready : In(1), row : Out(2), header : Out(job)
        Handshake of the result stream; row index, and the job that the leaving tile belongs to.
    command : Out(Command)
        To every CCPE.
    wait_init, wait_result : Out(1)
        The lanes stand still because an init has not come, because a result has not left.

    An init that has shown its first beat must not wait for a result of this PEG: the drain may overlap with it.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        job = job_layout(config)
        super().__init__({
            "arriving": In(1), "first": In(1), "last": In(1), "job": In(stream.Signature(job)),
            "init_valid": In(1), "init_ready": Out(1),
            "result_valid": Out(1), "result_ready": In(1), "row": Out(range(TILE)), "header": Out(job),
            "command": Out(Command), "wait_init": Out(1), "wait_result": Out(1)})

    def _track(self, m: Module) -> tuple[Signal, Signal]:
        """Follow the tile in progress: its job, and whether its result ends with this op."""
        current = Signal(job_layout(self._config))
        opening = Signal()
        emits = Signal()
        m.d.comb += [opening.eq(self.command.advance & self.arriving & self.first), self.job.ready.eq(opening),
                     emits.eq(self.command.advance & self.arriving & self.last
                              & Mux(self.first, self.job.p.emit.any(), current.emit.any()))]
        with m.If(opening):
            m.d.sync += current.eq(self.job.payload)
        return current, emits


class InplaceDrain(DrainControl):
    """Shift the tile out of the accumulators themselves while the lanes wait.

    During the four shifts the next job's init enters at the far row, if it is known when the tile ends (zero, or an
    init stream that is valid); else the tile rotates and so stays for `hold`, and another init is loaded afterwards.
    A tile of a single op always rotates.

    Latency: the first row leaves 1 cycle after the last op. Throughput: a tile costs 4 cycles over its issues,
    8 where its init could not overlap. Numerics: values pass unchanged.
    """

    latency = 1

    def elaborate(self, platform):
        m = Module()
        job, command = self.job.p, self.command
        current, emits = self._track(m)
        in_tile, primed = Signal(), Signal()   # a tile is at the accumulators; they hold the next init
        count, last_shift = Signal(range(TILE)), Signal()
        is_zero, is_tile = Signal(), Signal()
        m.d.comb += [is_zero.eq(job.init == Init.ZERO), is_tile.eq(job.init == Init.TILE),
                     last_shift.eq(count == TILE - 1), self.row.eq(count), self.header.eq(current)]
        needs_load, entering = Signal(), Signal(Fill)
        m.d.comb += needs_load.eq(self.job.valid & ~primed & ~in_tile & (job.init != Init.HOLD))

        with m.FSM():
            with m.State("RUN"):
                blocked = self.arriving & self.first & needs_load
                m.d.comb += [command.advance.eq(~blocked), self.wait_init.eq(blocked)]
                with m.If(self.arriving & command.advance):
                    m.d.sync += [in_tile.eq(~self.last), primed.eq(0)]
                with m.If(emits):
                    m.d.sync += entering.eq(self._entering(is_zero, is_tile))
                    m.next = "DRAIN"
                with m.Elif(needs_load & (is_zero | self.init_valid)):
                    m.next = "LOAD"
            with m.State("DRAIN"):
                self._drain(m, entering, count, last_shift, primed, is_tile)
            with m.State("LOAD"):
                m.d.comb += [self.wait_init.eq(1), self.init_ready.eq(~is_zero & (is_tile | last_shift))]
                with m.If(is_zero | self.init_valid):
                    m.d.comb += [command.shift.eq(Mux(is_tile & job.transposed, Shift.COLUMNS, Shift.ROWS)),
                                 command.fill.eq(Mux(is_zero, Fill.ZERO, Fill.INIT))]
                    m.d.sync += count.eq(count + 1)
                    with m.If(last_shift):
                        m.d.sync += primed.eq(1)
                        m.next = "RUN"
        return m

    def _entering(self, is_zero, is_tile):
        """What enters while the tile leaves, chosen with its last op: ready must not wait for valid later."""
        job = self.job.p
        overlaps = self.init_valid & ((job.init == Init.BIAS) | (is_tile & ~job.transposed))
        known = self.job.valid & ~self.first       # with the first op the job at the head is still this tile's
        return Mux(known & is_zero, Fill.ZERO, Mux(known & overlaps, Fill.INIT, Fill.ROTATE))

    def _drain(self, m, entering, count, last_shift, primed, is_tile) -> None:
        command, by_init = self.command, Signal()
        m.d.comb += [by_init.eq(entering == Fill.INIT), self.result_valid.eq(~by_init | self.init_valid),
                     self.init_ready.eq(by_init & self.result_ready & (is_tile | last_shift)),
                     self.wait_result.eq(1), command.fill.eq(entering)]
        with m.If(self.result_valid & self.result_ready):
            m.d.comb += command.shift.eq(Shift.ROWS)
            m.d.sync += count.eq(count + 1)
            with m.If(last_shift):
                m.d.sync += primed.eq(entering != Fill.ROTATE)
                m.next = "RUN"


class ShadowDrain(DrainControl):
    """Capture the finished tile in the shadow set and shift it out behind the next one.

    The same set takes the next job's init in advance; at the tile's end both are exchanged in one cycle.

    Latency: the first row leaves 2 cycles after the last op. Throughput: a tile costs no cycle over its issues
    while it has at least 5 of them (9 with a transposed init). Numerics: values pass unchanged.
    """

    latency = 2

    def elaborate(self, platform):
        m = Module()
        job, command = self.job.p, self.command
        current, emits = self._track(m)
        leaving = Signal(job_layout(self._config))
        left, loaded = Signal(range(TILE + 1)), Signal(range(TILE + 1))  # rows still to leave; init rows in place
        done, primed = Signal(), Signal()    # result waits in the accumulators; they hold the next init already
        full, opening, capture, swap, hold = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [full.eq(loaded == TILE), opening.eq(self.arriving & self.first), hold.eq(job.init == Init.HOLD),
                     capture.eq(done & (left == 0) & ((loaded == 0) | full)), swap.eq(capture & full),
                     self.wait_init.eq(opening & ~(primed | full | hold | (job.init == Init.ZERO))),
                     self.wait_result.eq(opening & done & ~capture),
                     command.advance.eq(~(self.wait_init | self.wait_result)), command.capture.eq(capture)]

        from_shadow, anew = Signal(), Signal()
        m.d.comb += [from_shadow.eq(swap | (opening & command.advance & ~primed & full)),
                     anew.eq(opening & ~primed & ~hold), command.clear_sparse.eq(swap | anew),
                     command.base.eq(Mux(from_shadow, Base.SHADOW, Mux(anew, Base.ZERO, Base.ACC)))]
        with m.If(command.advance):
            m.d.sync += primed.eq(Mux(opening, 0, primed | swap))
        with m.If(capture):
            m.d.sync += [done.eq(0), left.eq(TILE), leaving.eq(current)]
        with m.If(emits):
            m.d.sync += done.eq(1)

        self._shift(m, left, loaded, full & from_shadow, ~capture & ~primed)
        m.d.comb += [self.row.eq(TILE - left), self.header.eq(leaving)]
        return m

    def _shift(self, m, left, loaded, taken, may_load) -> None:
        """The set moves as a row leaves, as a row of the next init enters, or for both at once.

        Both at once if the init shows itself by the time the first row leaves: later ready must not wait for valid,
        nor a result for an init that may depend on it.
        """
        job, command = self.job.p, self.command
        is_tile, can_load, fits, showed = Signal(), Signal(), Signal(), Signal()
        both, decided = Signal(), Signal()
        m.d.sync += [showed.eq(self.init_valid & ~self.init_ready), decided.eq(both)]
        m.d.comb += [
            is_tile.eq(job.init == Init.TILE), command.fill.eq(Fill.INIT),
            fits.eq(may_load & self.job.valid & (is_tile | (job.init == Init.BIAS))),
            both.eq(Mux(left == TILE, fits & showed & (loaded == 0) & ~(is_tile & job.transposed),
                        decided & (left != 0))),
            self.result_valid.eq((left != 0) & (~both | self.init_valid)),
            can_load.eq(fits & (left == 0) & (loaded != TILE)),
            self.init_ready.eq((can_load | (both & self.result_ready)) & (is_tile | (loaded == TILE - 1)))]
        with m.If(self.result_valid & self.result_ready):
            m.d.comb += command.shift.eq(Shift.ROWS)
            m.d.sync += [left.eq(left - 1), loaded.eq(loaded + both)]
        with m.Elif(can_load & self.init_valid):
            m.d.comb += command.shift.eq(Mux(is_tile & job.transposed, Shift.COLUMNS, Shift.ROWS))
            m.d.sync += loaded.eq(loaded + 1)
        with m.If(taken):
            m.d.sync += loaded.eq(0)


def drain_control(config: MachineConfig) -> type[DrainControl]:
    """The variant that the configuration asks for."""
    return ShadowDrain if config.drain is Drain.SHADOW else InplaceDrain
