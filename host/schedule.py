# SPDX-License-Identifier: Apache-2.0
"""Order of the tasks in their queues: a list schedule by predicted cycles, longest way to the end first."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from host.graph import Queue, Task
from hw.config import TILE, Lane, MachineConfig
from hw.control.isa import Instruction, Opcode
from model.exact.machine.matrix import tiles
from model.exact.machine.vector import beats

#: Cycles of an instruction beyond its beats: fetch, decode, first operand, last result (a modelled constant).
OVERHEAD = {Opcode.MATMUL: 24, Opcode.VECTOR: 24, Opcode.LOAD: 40, Opcode.STORE: 40}


def matmul_cycles(rows: int, cols: int, k: int, config: MachineConfig) -> int:
    """Predicted cycles of a MATMUL that skips nothing: all tiles after the first right rows have come."""
    planes = 1 if config.lane is Lane.NATIVE else 2
    tile = tiles(planes * k, max(1, config.dense_depth))
    return OVERHEAD[Opcode.MATMUL] + k + tiles(rows, TILE) * tiles(cols, config.columns) * tile


def vector_cycles(item: Instruction, config: MachineConfig) -> int:
    """Predicted cycles of a VECTOR: a beat a cycle."""
    return OVERHEAD[Opcode.VECTOR] + beats(item, config.lanes)


def move_cycles(opcode: Opcode, size: int, config: MachineConfig) -> int:
    """Predicted cycles of `size` bytes over the bus."""
    return OVERHEAD[opcode] + tiles(size, config.bus_bytes)


@dataclass(frozen=True)
class Slot:
    """When a task is predicted to run, in cycles from the program's start."""

    task: int
    start: int
    end: int


def schedule(tasks: Sequence[Task], before: Sequence[set[int]]) -> list[Slot]:
    """Tasks by start time: each queue takes, of what it could start, the task with the longest way to the end.

    The order respects `before`, so that a machine with queues of any length can run it.
    """
    after: list[list[int]] = [[] for _ in tasks]
    for index, earlier in enumerate(before):
        for other in earlier:
            after[other].append(index)
    way = [0] * len(tasks)
    for index in reversed(range(len(tasks))):
        way[index] = tasks[index].cycles + max((way[other] for other in after[index]), default=0)
    open_ = [len(earlier) for earlier in before]
    ready: dict[Queue, list[tuple[int, int]]] = {task.queue: [] for task in tasks}
    free_at = dict.fromkeys(ready, 0)
    events = [(0, index) for index, count in enumerate(open_) if not count]  # (time, task that has become ready)
    heapq.heapify(events)
    slots: list[Slot] = []
    running: list[tuple[int, int]] = []  # (end, task)
    now = 0
    while len(slots) < len(tasks):
        while events and events[0][0] <= now:
            index = heapq.heappop(events)[1]
            heapq.heappush(ready[tasks[index].queue], (-way[index], index))
        for queue, waiting in ready.items():
            if waiting and free_at[queue] <= now:
                index = heapq.heappop(waiting)[1]
                free_at[queue] = now + tasks[index].cycles
                slots.append(Slot(index, now, free_at[queue]))
                heapq.heappush(running, (free_at[queue], index))
        if not running:
            continue
        now = running[0][0]
        while running and running[0][0] <= now:
            for other in after[heapq.heappop(running)[1]]:
                open_[other] -= 1
                if not open_[other]:
                    heapq.heappush(events, (now, other))
    return slots
