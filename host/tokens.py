# SPDX-License-Identifier: Apache-2.0
"""Semaphores: what must wait for what, as counts between queues.

An ordered pair of queues has a semaphore for itself. A queue completes in order, so a task that has waited for one of
another queue has waited for all before it: each task waits only where it must see further than the tasks of its queue
before it, and the n-th wait takes the token of the n-th signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from host.graph import Queue, Task, dependencies, needs_token, relay, resequence, through_vector
from host.schedule import Slot
from hw.control.isa import SEMAPHORES, Opcode
from hw.errors import VidaError

Pair = tuple[Queue, Queue]


def pairs(tasks: Sequence[Task], before: Sequence[set[int]]) -> set[Pair]:
    """Different queues between which there are dependencies, (first, second)."""
    queues = [task.queue for task in tasks]
    found = {(queues[n], queue) for queue, earlier in zip(queues, before, strict=True) for n in earlier}
    return {(first, second) for first, second in found if first != second}


def reduce_pairs(tasks: Sequence[Task], passing: Task) -> tuple[list[Task], list[set[int]]]:
    """`tasks` in an order that is right, and their dependencies, between few enough queues where that can be: a
    semaphore is left for each PEG.

    Dependencies among PEGs, LOAD and STORE are led through the vector unit, for which STOREs come later and LOADs
    earlier, so that a VECTOR lies between them and what they serve; where none does, `passing` is put there.
    """
    peg, load, store = Opcode.MATMUL, Opcode.LOAD, Opcode.STORE
    tasks, before = list(tasks), dependencies(tasks)
    few = SEMAPHORES - len({task.queue for task in tasks if task.opcode is peg})    # a PEG waits for itself too
    stores, loads = ((peg, peg), (store, peg), (peg, load), (peg, store)), ((load, peg),)
    for second, shift, kinds in ((store, 24, stores), (load, -40, loads)):
        if len(pairs(tasks, before)) > few:
            tasks, before = resequence(tasks, before, second, shift)
        for kind in kinds:
            if len(pairs(tasks, before)) > few:
                through_vector(tasks, before, *kind)
    for kind in (*stores, *loads):
        if len(pairs(tasks, before)) > few:
            tasks, before = relay(tasks, before, *kind, passing)
    return tasks, before


@dataclass
class Channel:
    """A pair of queues: positions, in the schedule, of its signals and of the waits that take their tokens."""

    signals: list[int] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)


def channels(tasks: Sequence[Task], before: Sequence[set[int]], slots: Sequence[Slot]) -> dict[Pair, Channel]:
    """The fewest signals and waits that hold every dependency."""
    place = {slot.task: position for position, slot in enumerate(slots)}
    found: dict[Pair, Channel] = {}
    for position, slot in enumerate(slots):
        newest: dict[Queue, int] = {}
        for other in before[slot.task]:
            if needs_token(tasks[slot.task], tasks[other]):
                queue = tasks[other].queue
                newest[queue] = max(newest.get(queue, -1), place[other])
        for queue, signal in newest.items():
            channel = found.setdefault((queue, tasks[slot.task].queue), Channel())
            if not channel.signals or signal > channel.signals[-1]:
                channel.signals.append(signal)
                channel.waits.append(position)
    return found


def assign(tasks: Sequence[Task], before: Sequence[set[int]], slots: Sequence[Slot]) -> list[tuple[int, int, int]]:
    """(wait, signal, fence) of every position of `slots`.

    A queue waits for itself by a semaphore too while there are any left, else by fences, which wait for more. Raises
    VidaError where semaphores do not suffice for all pairs of different queues.
    """
    found = channels(tasks, before, slots)
    order = sorted(found, key=lambda pair: (pair[0] == pair[1], str(pair)))
    count = sum(first != second for first, second in found)
    if count > SEMAPHORES:
        raise VidaError(f"program needs {count} semaphores, the machine has {SEMAPHORES}; fewer PEGs need fewer")
    waits, signals, fences = [0] * len(slots), [0] * len(slots), [0] * len(slots)
    for number, pair in enumerate(order):
        for signal, wait in zip(found[pair].signals, found[pair].waits, strict=True):
            if number >= SEMAPHORES:
                fences[wait] = 1
            else:
                signals[signal] |= 1 << number
                waits[wait] |= 1 << number
    return list(zip(waits, signals, fences, strict=True))
