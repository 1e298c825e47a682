# SPDX-License-Identifier: Apache-2.0
"""The machine's queues: one arbitrary entry is followed from its put to its take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

from amaranth.hdl import Assert, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib.fifo import SyncFIFOBuffered

from hw.control.queue import RegisterQueue
from hw.control.sequencer import QUEUED
from hw.vector.operations import GROUP_MAX
from hw.vector.row_queue import RowQueue
from verif.formal.circuit import free_inputs
from verif.formal.probe import Probe
from verif.formal.rules import STAYS, assert_kept

#: What each queue is held to.
PROPERTIES = (
    "an entry comes out in its turn, unchanged", "nothing comes out of an empty queue", "never more than its depth",
    "what is kept is offered within a cycle", "there is room within a cycle while it is not full",
    STAYS)
#: Bits of an entry: no queue looks at one, so few stand for any number.
WIDTH = 4
#: Depths of the machine's `RegisterQueue`s; a test holds that there are no others.
REGISTER_DEPTHS = (2, 3, 4, 6, 8, 16)


def queues() -> dict[str, Callable[[], Elaboratable]]:
    """How to make the queues that the machines use, by kind and depth."""
    found: dict[str, Callable[[], Elaboratable]] = {
        f"RegisterQueue of {depth}": partial(RegisterQueue, WIDTH, depth) for depth in REGISTER_DEPTHS}
    return found | {f"RowQueue of {GROUP_MAX}": partial(RowQueue, WIDTH, GROUP_MAX),
                    f"SyncFIFOBuffered of {QUEUED}": partial(SyncFIFOBuffered, width=WIDTH, depth=QUEUED)}


class QueuePart:
    """A queue with entries at any time and of any value; the entry to follow is chosen at its put.

    Loss and doubling would show in the turn of a later entry, whose value may be another.

    Parameters
    ----------
    name : str
        Begins the names of its assertions.
    queue : Elaboratable
        Of a kind of `queues()`, entries of WIDTH bits.
    strengthen : bool
        Assert what induction needs too.
    """

    def __init__(self, name: str, queue: Elaboratable, strengthen: bool = True) -> None:
        self._name, self._queue, self._strengthen = name, queue, strengthen

    def build(self, m: Module) -> list[Value]:
        """As `Part`."""
        queue, mark = self._queue, Signal(name="mark")
        m.submodules += (probe := Probe(queue, spies=True))
        side, depth = _sides(queue), queue.depth if isinstance(queue, SyncFIFOBuffered) else queue._depth
        put, take = side.put & side.room, side.take & side.valid
        count, ahead = Signal(range(2 * depth + 2)), Signal(range(2 * depth + 2))
        held, gone, value = Signal(), Signal(), Signal(WIDTH)
        m.d.sync += count.eq(count + put - take)
        with m.If(put & mark & ~held):
            m.d.sync += [held.eq(1), ahead.eq(count - take), value.eq(side.entry)]
        turn = held & ~gone & (ahead == 0)
        with m.If(held & ~gone & take):
            m.d.sync += [gone.eq(turn), ahead.eq(ahead - 1)]
        late, refused = Signal(), Signal()
        m.d.sync += [late.eq((count != 0) & ~side.valid), refused.eq((count != depth) & ~side.room)]
        properties = (~(turn & side.valid) | (side.head == value), ~side.valid | (count != 0), count <= depth,
                      ~late | side.valid, ~refused | side.room)
        m.d.comb += [Assert(holds, f"{self._name}: {name}")
                     for holds, name in zip(properties, PROPERTIES, strict=False)]
        assert_kept(m, side.valid, side.take, [side.head], f"{self._name}: {PROPERTIES[-1]}")
        if self._strengthen:
            waits = SimpleNamespace(held=held & ~gone, ahead=ahead, value=value, count=count)
            m.d.comb += [Assert(holds, f"{self._name}: inner state") for holds in _inner(m, queue, probe, waits)]
        return [*side.inputs, mark]


def _sides(queue) -> SimpleNamespace:
    """The ports of either kind by one name."""
    if isinstance(queue, SyncFIFOBuffered):
        return SimpleNamespace(put=queue.w_en, room=queue.w_rdy, entry=queue.w_data, take=queue.r_en,
                               valid=queue.r_rdy, head=queue.r_data, inputs=[queue.w_en, queue.w_data, queue.r_en])
    return SimpleNamespace(put=queue.i.valid, room=queue.i.ready, entry=queue.i.payload, take=queue.o.ready,
                           valid=queue.o.valid, head=queue.o.payload, inputs=free_inputs(queue))


def _inner(m: Module, queue, probe: Probe, waits: SimpleNamespace) -> list:
    """What always holds inside: the entry lies where its turn says."""
    inside = probe.of(queue)
    inner = [~waits.held | (waits.ahead < waits.count)]
    if isinstance(queue, RegisterQueue):
        return [*inner, inside["level"] == waits.count,
                ~waits.held | (inside["entries"][waits.ahead] == waits.value)]
    first, second = inside["spies"]
    if isinstance(queue, RowQueue):
        head, level = inside["head"], inside["level"]
        m.d.comb += [first.addr.eq(head), second.addr.eq(head + waits.ahead)]
        return [*inner, level == waits.count, inside["end"] == (head + level)[:len(head)],
                (level == 0) | (inside["read"].data == first.data), ~waits.held | (second.data == waits.value)]
    places, level, shown = inside["inner_depth"], inside["inner_level"], queue.r_rdy
    produce, consume = inside["produce"], inside["consume"]
    end, place = Signal(range(2 * places)), Signal(range(2 * places))
    m.d.comb += [end.eq(consume + level), place.eq(consume + waits.ahead - shown),
                 second.addr.eq(Mux(place >= places, place - places, place))]
    return [*inner, level + shown == waits.count, produce == Mux(end >= places, end - places, end),
            (produce < places) & (consume < places) & (level <= places),
            ~(waits.held & shown & (waits.ahead == 0)) | (queue.r_data == waits.value),
            ~waits.held | (shown & (waits.ahead == 0)) | (second.data == waits.value)]
