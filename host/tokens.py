# SPDX-License-Identifier: Apache-2.0
"""Semaphores: what must wait for what, as counts between queues.

Every ordered pair of queues has a semaphore of its own. A queue completes in order, so a task that has waited for one
of another queue has waited for all before it: each task waits only where it must see further than the queue's tasks
before it, and the n-th wait takes the token of the n-th signal.
"""

from __future__ import annotations

from collections.abc import Sequence

from host.graph import Queue, Task, through_vector
from host.schedule import Slot
from hw.control.isa import SEMAPHORES, Opcode
from hw.errors import VidaError

Pair = tuple[Queue, Queue]


def pairs(tasks: Sequence[Task], before: Sequence[set[int]]) -> set[Pair]:
    """Queues between which there are dependencies, (first, second)."""
    return {(tasks[n].queue, tasks[index].queue) for index, earlier in enumerate(before) for n in earlier
            if tasks[n].queue != tasks[index].queue}


def reduce_pairs(tasks: Sequence[Task], before: list[set[int]]) -> None:
    """Lead dependencies among PEGs, LOAD and STORE through the vector unit where the semaphores do not suffice.

    Raises VidaError where they do not suffice even so.
    """
    peg, load, store = Opcode.MATMUL, Opcode.LOAD, Opcode.STORE
    for first, second in ((peg, peg), (store, peg), (peg, load), (store, load), (load, peg)):
        if len(pairs(tasks, before)) > SEMAPHORES:
            through_vector(tasks, before, first, second)
    count = len(pairs(tasks, before))
    if count > SEMAPHORES:
        raise VidaError(f"program needs {count} semaphores, the machine has {SEMAPHORES}; 4 PEGs need no more")


def assign(tasks: Sequence[Task], before: Sequence[set[int]], slots: Sequence[Slot]) -> list[tuple[int, int]]:
    """(wait, signal) masks of every task, in the order of `tasks`."""
    place = {slot.task: position for position, slot in enumerate(slots)}
    number = {pair: n for n, pair in enumerate(sorted(pairs(tasks, before), key=str))}
    masks = [[0, 0] for _ in tasks]
    seen: dict[Pair, int] = {}
    for slot in slots:
        newest: dict[Queue, int] = {}
        for other in before[slot.task]:
            queue = tasks[other].queue
            if queue != tasks[slot.task].queue and place[other] > newest.get(queue, -1):
                newest[queue] = place[other]
        for queue, position in newest.items():
            pair = (queue, tasks[slot.task].queue)
            if position > seen.get(pair, -1):
                seen[pair] = position
                masks[slot.task][0] |= 1 << number[pair]
                masks[slots[position].task][1] |= 1 << number[pair]
    return [(wait, signal) for wait, signal in masks]
