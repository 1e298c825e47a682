# SPDX-License-Identifier: Apache-2.0
"""Order of the tasks in their queues: a list schedule by predicted cycles, longest way to the end first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from host.graph import Cost, Queue, Task, needs_token
from hw.config import TILE, Lane, MachineConfig
from hw.control.isa import Instruction, VectorOp
from hw.vector.operations import TWICE, Op
from model.exact.machine.matrix import tiles
from model.exact.vector.schedule import cycles

#: Share of the array's work that skipping zero digits leaves of whole operands, about: measured on `tiny`.
WHOLE = 0.7
#: Cycles before the first and after the last beat of an instruction (modelled constants).
_MATMUL, _VECTOR, _MOVE = (12, 40), (5, 3), (40, 16)


def matmul_cost(rows: int, cols: int, k: int, config: MachineConfig, share: float) -> Cost:
    """Cycles of a MATMUL of which `share` is left by skipping; the first right slot is filled before."""
    planes = 1 if config.lane is Lane.NATIVE else 2
    tile = math.ceil(share * planes * k / max(1, config.dense_depth))
    slot = max(k, tiles(rows, TILE) * tile)     # a right slot is filled while the one before is used
    return Cost(_MATMUL[0] + k, tiles(cols, config.columns) * slot, _MATMUL[1])


def vector_cost(item: Instruction, config: MachineConfig) -> Cost:
    """Cycles of a VECTOR: a beat a cycle, where operands of one bank and blocks of a transposed one take no turns."""
    op = Op[VectorOp(item["op"]).name]
    banks = [item[name] // config.buffer_lines for name in "x" + BESIDE.get(op, "")]
    turns = max(max(map(banks.count, banks)), TILE if item["x_transposed"] else 1)
    again = item["rows"] * tiles(item["cols"], config.lanes) * (turns - 1) * (op in TWICE or turns)
    return Cost(_VECTOR[0], cycles(op, item["rows"], item["cols"], config.lanes, again=1) + again, _VECTOR[1])


def move_cost(size: int, config: MachineConfig) -> Cost:
    """Cycles of `size` bytes over the bus."""
    return Cost(_MOVE[0], tiles(size, config.bus_bytes), _MOVE[1])


#: Operands that are read with every beat of a result, beside x.
BESIDE = {Op.LAYERNORM: "uv", Op.NORMALISE: "u", Op.GELU: "u", Op.RESIDUAL: "yuv", Op.SNAP: "y"}


@dataclass(frozen=True)
class Slot:
    """The beats of a task as predicted, in cycles from the program's start."""

    task: int
    start: int
    end: int


def _longest_ways(tasks: Sequence[Task], after: Sequence[Sequence[int]]) -> list[int]:
    """Cycles from a task's start to the end of all that depends on it."""
    way = [0] * len(tasks)
    for index in reversed(range(len(tasks))):
        cost = tasks[index].cost
        rest = max((way[other] for other in after[index]), default=0)
        way[index] = cost.lead + cost.beats + cost.tail + rest
    return way


def schedule(tasks: Sequence[Task], before: Sequence[set[int]]) -> list[Slot]:
    """Tasks by start time: each queue takes, of what it could start, the task with the longest way to the end.

    A task can start when the tasks of `before` are complete; of its own queue those need only have started, but where
    a semaphore is needed.
    """
    after: list[list[int]] = [[] for _ in tasks]
    for index, earlier in enumerate(before):
        for other in earlier:
            after[other].append(index)
    way = _longest_ways(tasks, after)
    open_ = [len(earlier) for earlier in before]
    since = [0] * len(tasks)  # when the last of `before` let it go
    ready: dict[Queue, list[tuple[int, int]]] = {task.queue: [] for task in tasks}
    free_at = dict.fromkeys(ready, 0)
    events = [(tasks[index].cost.lead, index) for index, count in enumerate(open_) if not count]
    heapq.heapify(events)
    slots: list[Slot] = []
    while len(slots) < len(tasks):
        now = _next_time(events, ready, free_at)
        while events and events[0][0] <= now:
            index = heapq.heappop(events)[1]
            heapq.heappush(ready[tasks[index].queue], (-way[index], index))
        for queue, waiting in ready.items():
            if not waiting or free_at[queue] > now:
                continue
            index = heapq.heappop(waiting)[1]
            end = free_at[queue] = now + tasks[index].cost.beats
            slots.append(Slot(index, now, end))
            for other in after[index]:
                seen = end + tasks[index].cost.tail if needs_token(tasks[other], tasks[index]) else now
                since[other] = max(since[other], seen)
                open_[other] -= 1
                if not open_[other]:
                    heapq.heappush(events, (since[other] + tasks[other].cost.lead, other))
    return slots


def _next_time(events: Sequence[tuple[int, int]], ready: Mapping[Queue, Sequence[tuple[int, int]]],
               free_at: Mapping[Queue, int]) -> int:
    """The next cycle in which a queue can start a task or a task becomes ready."""
    times = [free_at[queue] for queue, waiting in ready.items() if waiting]
    return min([*times, *(event[0] for event in events[:1])])
