# SPDX-License-Identifier: Apache-2.0
"""Result writer: accumulators and int8 rows of a group go to their matrices in the global buffer."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, MachineConfig
from hw.control.fork import fork
from hw.control.queue import RegisterQueue
from hw.memory.lines import write_layout
from hw.memory.operands import AHEAD, MATMUL, kept, loops, part_of, set_walk
from hw.memory.walker import OutsideLayout, Walker, join_outside
from hw.payloads import int8_layout, result_layout

#: The two matrices that a matmul may leave, and the instruction's name for the pitch of each.
SIDES = {"accumulators": "acc_pitch", "int8": "int8_pitch"}


class ResultWriter(Component):
    """Write every row of a group's results where it belongs, and say when a matmul is complete.

    Accumulators take a line a row, sign-extended to int32; an int8 row takes four bytes of each word of its tile's
    line. Rows and columns beyond the matrix are written too: a tile is stored whole. Rows of one kind keep their order,
    those of different kinds do not.

    Parameters
    ----------
    config : MachineConfig

    Members
    -------
    command : In(stream of MATMUL instructions)
        In the order of the group's jobs; one that emits nothing is complete at once.
    accumulators : In(stream of result rows), int8 : In(stream of int8 rows)
        From the group.
    accumulators_write, int8_write : Out(stream of write requests)
        To the buffer.
    done : Out(1)
        A command is complete: all of it has been accepted by the buffer. Commands complete in their order.
    outside : Out(OutsideLayout)
        As in `Walker`.

    Latency: a row is offered to the buffer in the cycle in which it comes. Throughput: a row of each kind a cycle.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({
            "command": In(stream.Signature(MATMUL)),
            "accumulators": In(stream.Signature(result_layout(config))),
            "int8": In(stream.Signature(int8_layout(config))), "done": Out(1), "outside": Out(OutsideLayout),
            **{f"{side}_write": Out(stream.Signature(write_layout(config))) for side in SIDES}})

    def elaborate(self, platform):
        m = Module()
        sinks, finished, walkers = [], [], [Walker(self._config, 3) for _ in SIDES]
        for side, walker in zip(SIDES, walkers, strict=True):
            m.submodules[side] = walker
            fields = part_of(MATMUL, "rows", "cols", f"emit_{side}", side, SIDES[side])
            m.submodules[f"{side}_queue"] = queue = RegisterQueue(fields, AHEAD)
            m.d.comb += kept(self.command.p, queue.i.p)
            sinks.append(queue.i)
            finished.append(self._side(m, side, queue.o, walker))
        join_outside(m, [walker.outside for walker in walkers], self.outside)
        m.submodules.orders = orders = RegisterQueue(2, 2 * AHEAD + 2)
        m.d.comb += orders.i.payload.eq(Cat(self.command.p[f"emit_{side}"] for side in SIDES))
        fork(m, self.command, [*sinks, orders.i])
        self._complete(m, orders, finished)
        return m

    def _side(self, m: Module, side: str, command, walker: Walker):
        """Rows of one kind to their addresses, line by line or four rows to one; returns when a command is finished."""
        p, rows, write = command.p, getattr(self, side), getattr(self, f"{side}_write")
        wide, wanted = side == "accumulators", p[f"emit_{side}"]
        set_walk(m, walker, command, (*loops(self._config, p), TILE), (TILE if wide else 1, p[SIDES[side]], int(wide)),
                 wanted, address=p[side])
        m.d.comb += [write.valid.eq(rows.valid & walker.place.valid), rows.ready.eq(write.ready & walker.place.valid),
                     walker.place.ready.eq(write.ready & rows.valid), write.p.address.eq(walker.place.p.address)]
        values = [Signal(signed(32 if wide else 8), name=f"{side}_{n}") for n in range(self._config.columns)]
        m.d.comb += [value.eq(rows.p.value[n]) for n, value in enumerate(values)]
        for c, word in enumerate(write.p.line):
            four = Cat(values[TILE * c:TILE * c + TILE])
            m.d.comb += word.eq(four if wide else four.replicate(TILE))
        group = Signal(TILE, name=f"{side}_group")
        m.d.comb += [group.eq(-1 if wide else 1 << rows.p.row), write.p.mask.eq(group.replicate(self._config.ccpes))]
        return walker.place.p.end.all() & write.valid & write.ready

    def _complete(self, m: Module, orders, finished) -> None:
        """Each kind finishes commands in their order, but one may be ahead of the other: by how many is counted."""
        ahead = {side: Signal(range(2 * AHEAD + 4), name=f"{side}_ahead") for side in SIDES}
        there = Cat(ahead[side].any() | ~orders.o.p[bit] for bit, side in enumerate(SIDES))
        m.d.comb += [self.done.eq(orders.o.valid & there.all()), orders.o.ready.eq(there.all())]
        for bit, side in enumerate(SIDES):
            m.d.sync += ahead[side].eq(ahead[side] + finished[bit] - (self.done & orders.o.p[bit]))
