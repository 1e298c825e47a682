# SPDX-License-Identifier: Apache-2.0
"""Tasks, each an instruction without its semaphores, and which must wait for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hw.control.isa import Opcode
from hw.errors import VidaError

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
    reads, writes : masks of buffer lines (and, above them, of entries of the row-sum memory)
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


def dependencies(tasks: Sequence[Task]) -> list[set[int]]:
    """For each task the earlier ones that must complete first, given that the order of `tasks` is right.

    Reads wait for the last writer of every line; writes for it and all its readers.
    """
    written = 0
    for task in tasks:
        written |= task.writes
    found: list[set[int]] = []
    for index, task in enumerate(tasks):
        before: set[int] = set()
        read, write = task.reads & written, task.writes
        for earlier in range(index - 1, -1, -1):
            if not read | write:
                break
            other = tasks[earlier]
            if other.writes & (read | write) or other.reads & write:
                before.add(earlier)
                read, write = read & ~other.writes, write & ~other.writes
        found.append(before)
    return found


def needs_token(task: Task, earlier: Task) -> bool:
    """Whether a semaphore must order two dependent tasks.

    Those of one queue start and complete in order, but a unit reads the operands of an instruction while the results of
    the one ahead are still on their way.
    """
    return task.queue != earlier.queue or bool(earlier.writes & task.reads)


def through_vector(tasks: Sequence[Task], before: list[set[int]], first: Opcode, second: Opcode) -> None:
    """Replace every dependency of a `second` on a `first` of another queue by two through a VECTOR, in place.

    It saves the semaphores of those queues. Raises VidaError where no VECTOR task lies between.
    """
    vectors = [index for index, task in enumerate(tasks) if task.opcode is Opcode.VECTOR]
    for index, task in enumerate(tasks):
        if task.opcode is not second:
            continue
        for earlier in [n for n in before[index] if tasks[n].opcode is first and tasks[n].queue != task.queue]:
            between = [n for n in vectors if earlier < n < index]
            if not between:
                raise VidaError(f"{task.operator}: no vector operation between {first.name} and {second.name}; "
                                "a machine with fewer PEGs needs none")
            middle = next((n for n in between if earlier in before[n]),
                          next((n for n in reversed(between) if n in before[index]), between[-1]))
            before[middle].add(earlier)
            before[index].discard(earlier)
            before[index].add(middle)
