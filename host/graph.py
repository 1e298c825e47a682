# SPDX-License-Identifier: Apache-2.0
"""Tasks, each an instruction without its semaphores, and which must wait for which."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from hw.control.isa import Opcode

#: Of a queue: opcode and index of the unit.
Queue = tuple[Opcode, int]


@dataclass(frozen=True)
class Cost:
    """Predicted cycles of an instruction.

    Members
    -------
    lead : from its start to its first beat; beats of the instruction ahead may pass meanwhile
    beats : during which the unit can do nothing else
    tail : from its last beat until others may see its results
    """

    lead: int
    beats: int
    tail: int


@dataclass(frozen=True)
class Task:
    """An instruction to be: its fields, what it touches, what it costs.

    Members
    -------
    opcode, fields : of the instruction, without wait, signal and tag
    reads, writes : masks of buffer lines, and above them of entries of the row-sum memory and of pieces of DRAM
    operator : name of the operator it belongs to
    cost : predicted cycles
    """

    opcode: Opcode
    fields: dict[str, Any]
    reads: int
    writes: int
    operator: str
    cost: Cost

    @property
    def queue(self) -> Queue:
        """Where it waits."""
        return self.opcode, self.fields.get("unit", 0)


def overwriting(tasks: Sequence[Task]) -> list[Task]:
    """`tasks`, in which a MATMUL reads too what its PEG wrote, nothing has touched since, and it overwrites.

    A PEG's accumulators and int8 results go two ways, each in its order: the later result must wait as a reader does.
    Where some task has touched the place since, that one has waited, and the overwriting waits for it.
    """
    found: list[Task] = []
    untouched: dict[Queue, int] = {}
    for task in tasks:
        over = untouched.get(task.queue, 0) & task.writes
        found.append(replace(task, reads=task.reads | over) if over else task)
        for queue in untouched:
            untouched[queue] &= ~(task.reads | task.writes)
        if task.opcode is Opcode.MATMUL:
            untouched[task.queue] = untouched.get(task.queue, 0) | task.writes
    return found


def dependencies(tasks: Sequence[Task]) -> list[set[int]]:
    """For each task the earlier ones that must complete first, given that the order of `tasks` is right.

    Reads wait for the last writer of every line; writes for it and all its readers.
    """
    places = max((task.reads | task.writes).bit_length() for task in tasks) if tasks else 0
    writer = np.full(places, -1)
    readers: list[set[int]] = [set() for _ in range(places)]
    places_of = cache(_set_bits)
    found: list[set[int]] = []
    for index, task in enumerate(tasks):
        read, write = places_of(task.reads), places_of(task.writes)
        before = {int(n) for n in np.unique(writer[np.concatenate([read, write])]) if n >= 0}
        before = before.union(*(readers[place] for place in write))
        writer[write] = index
        for place in write:
            readers[place].clear()
        for place in read:
            readers[place].add(index)
        found.append(before - {index})
    return found


def _set_bits(mask: int) -> np.ndarray:
    """Positions of the bits of `mask` that are 1."""
    data = np.frombuffer(mask.to_bytes(mask.bit_length() // 8 + 1, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(data, bitorder="little"))


def needs_token(task: Task, earlier: Task) -> bool:
    """Whether a semaphore must order two dependent tasks.

    Those of one queue start and complete in order, but a unit reads the operands of an instruction while the results of
    the one ahead are still on their way.
    """
    return task.queue != earlier.queue or bool(earlier.writes & task.reads)


def resequence(tasks: Sequence[Task], before: Sequence[set[int]], opcode: Opcode,
               shift: int) -> tuple[list[Task], list[set[int]]]:
    """Tasks and dependencies in another right order: those of `opcode` `shift` places later or (negative) earlier."""
    after: list[list[int]] = [[] for _ in tasks]
    for index, earlier in enumerate(before):
        for other in earlier:
            after[other].append(index)
    open_ = [len(earlier) for earlier in before]
    keys = [index + shift * (task.opcode is opcode) for index, task in enumerate(tasks)]
    ready = [(keys[index], index) for index, count in enumerate(open_) if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        index = heapq.heappop(ready)[1]
        order.append(index)
        for other in after[index]:
            open_[other] -= 1
            if not open_[other]:
                heapq.heappush(ready, (keys[other], other))
    place = {index: n for n, index in enumerate(order)}
    return [tasks[index] for index in order], [{place[other] for other in before[index]} for index in order]


def through_vector(tasks: Sequence[Task], before: list[set[int]], first: Opcode, second: Opcode) -> None:
    """Replace dependencies of a `second` on a `first` of another queue by two, in place, through a VECTOR.

    Done where one lies between that already waits for the one, or for which the other waits.

    It saves the semaphores of those queues.
    """
    vectors = [index for index, task in enumerate(tasks) if task.opcode is Opcode.VECTOR]
    for index, task in enumerate(tasks):
        if task.opcode is not second:
            continue
        for earlier in [n for n in before[index] if tasks[n].opcode is first and tasks[n].queue != task.queue]:
            between = vectors[bisect_right(vectors, earlier):bisect_left(vectors, index)]
            middle = next((n for n in between if earlier in before[n]),
                          next((n for n in reversed(between) if n in before[index]), None))
            if middle is not None:
                before[middle].add(earlier)
                before[index].discard(earlier)
                before[index].add(middle)


def relay(tasks: Sequence[Task], before: Sequence[set[int]], first: Opcode, second: Opcode,
          passing: Task) -> tuple[list[Task], list[set[int]]]:
    """Tasks and dependencies in which those of a `second` on a `first` of another queue go through a VECTOR
    `passing`, which does nothing but wait: for all of `first` that the task depends on, so that others find it done."""
    again: list[Task] = []
    links: list[set[int]] = []
    place: list[int] = []
    passed: dict[int, int] = {}     # a task that one of `again` waits for already
    for index, task in enumerate(tasks):
        every = {n for n in before[index] if tasks[n].opcode is first and task.opcode is second}
        led = {n for n in every if tasks[n].queue != task.queue}
        if not led <= passed.keys():
            passed |= dict.fromkeys(every, len(again))
            again.append(passing)
            links.append({place[n] for n in every})
        place.append(len(again))
        again.append(task)
        links.append({place[n] for n in before[index] - led} | {passed[n] for n in led})
    return again, links
