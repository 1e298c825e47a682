# SPDX-License-Identifier: Apache-2.0
"""Cycles of a whole program: queues in order, semaphores, units and memory as events; no Verilog and no clock."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from host.bank_model import Banks
from host.matmul_model import MatmulModel
from host.memory_model import Memory
from host.mover_model import LoadModel, StoreModel
from host.vector_model import VectorModel
from hw.config import MachineConfig
from hw.control.fetch import PREFETCH, Fetch
from hw.control.isa import BYTES, SEMAPHORES, Instruction, Opcode
from hw.control.sequencer import QUEUED, STARTED

#: Of a queue: opcode and index of the unit.
Unit = tuple[Opcode, int]

#: From a free place of fetch to its request at the memory, and from its data to the sequencer.
_ASK, _GOT = Fetch.latency + 1, 2
#: From an instruction at the sequencer to the head of an empty queue; from a start to the command at the unit.
_QUEUE, _COMMAND = 2, 1
#: From a completion to what its semaphores start.
_TOKEN = 1
#: From start to fetch, and from the last completion to the end that the register shows.
_BEGIN, _END = 1, 2


@dataclass(frozen=True)
class Span:
    """An instruction was under way in its unit from cycle `start` to before `end`; `busy` of them as the oldest."""

    start: int
    end: int
    busy: int


@dataclass
class Prediction:
    """What a program is predicted to take.

    Members
    -------
    cycles : from start to END
    slots : of each instruction but END
    """

    cycles: int
    slots: list[Span]

    def operators(self, program: Sequence[Instruction], names: Sequence[str]) -> dict[str, Counter[str]]:
        """operator -> unit -> cycles in which the oldest instruction of the unit was the operator's."""
        found: dict[str, Counter[str]] = {}
        for item, slot in zip(program, self.slots):
            unit = f"peg{item['unit']}" if item.opcode is Opcode.MATMUL else item.opcode.name.lower()
            found.setdefault(names[item["tag"]], Counter())[unit] += slot.busy
        return found


@dataclass
class _Queue:
    """One unit's instructions: waiting, started, and whether a command waits at the unit."""

    waiting: deque[tuple[int, int]] = field(default_factory=deque)      # index, cycle from which it can start
    started: deque[int] = field(default_factory=deque)
    offered: bool = False                                               # a command is not taken yet
    done_at: int = 0


class _Run:
    """The events of one program."""

    def __init__(self, program: Sequence[Instruction], config: MachineConfig, tiles: Mapping[int, np.ndarray],
                 bandwidth: float | None, latency: int) -> None:
        self.program, self.config = program, config
        self.heap: list[tuple[int, int, Callable, tuple]] = []
        self.count = 0
        self.tokens = [0] * SEMAPHORES
        self.memory, banks = Memory(config.bus_bytes, bandwidth, latency, self.at), Banks()
        self.queues: dict[Unit, _Queue] = {}
        self.models = {(Opcode.LOAD, 0): LoadModel(config, self.memory, banks),
                       (Opcode.STORE, 0): StoreModel(config, self.memory, banks),
                       (Opcode.VECTOR, 0): VectorModel(config, banks, self.at)}
        for n in range(config.pegs):
            self.models[Opcode.MATMUL, n] = MatmulModel(config, tiles, banks, self.at)
        self.queues = {unit: _Queue() for unit in self.models}
        self.start = [0] * len(program)
        self.end = [0] * len(program)
        self.busy = [0] * len(program)
        self.here: deque[int] = deque()             # fetched, not yet in a queue
        self.asked = self.kept = 0
        self.last = 0

    def at(self, when: float, what: Callable, *arguments) -> None:
        """Call `what(when, ...)` then."""
        self.count += 1
        heapq.heappush(self.heap, (when, self.count, what, arguments))

    def run(self) -> Prediction:
        self.at(_BEGIN, self._ask)
        while self.heap:
            when, _, what, arguments = heapq.heappop(self.heap)
            what(when, *arguments)
        if any(queue.waiting or queue.started for queue in self.queues.values()) or self.here:
            raise ValueError("program stands still")
        slots = [Span(round(s), round(e), round(b)) for s, e, b in zip(self.start, self.end, self.busy)]
        return Prediction(round(self.last + _END), slots[:-1])

    def _ask(self, now) -> None:
        if self.asked < len(self.program) and self.kept < PREFETCH:
            self.kept += 1
            index = self.asked
            self.asked += 1
            self.memory.read(now + _ASK, -(-BYTES // self.config.bus_bytes), self._got, index)
            self.at(now + 2, self._ask)

    def _got(self, now, index: int) -> None:
        self.at(now + _GOT, self._fetched, index)

    def _fetched(self, now, index: int) -> None:
        self.here.append(index)
        self._dispatch(now)

    def _dispatch(self, now) -> None:
        """The oldest fetched instruction goes to its queue, if there is room."""
        while self.here:
            item = self.program[self.here[0]]
            if item.opcode is not Opcode.END:
                queue = self.queues[item.opcode, item["unit"]]
                if len(queue.waiting) >= QUEUED:
                    return
                queue.waiting.append((self.here[0], now + _QUEUE))
                self.at(now + _QUEUE, self._try, (item.opcode, item["unit"]))
            self.last = max(self.last, now)
            self.here.popleft()
            self.kept -= 1
            self.at(now + 1, self._ask)

    def _try(self, now, unit: Unit) -> None:
        """Start the unit's next instruction, if it can."""
        queue, model = self.queues[unit], self.models[unit]
        if not queue.waiting:
            return
        index, since = queue.waiting[0]
        item = self.program[index]
        if since > now or len(queue.started) >= STARTED or (item["fence"] and queue.started):
            return
        if queue.offered:
            return
        wait = item["wait"]
        if any(wait >> n & 1 and not self.tokens[n] for n in range(SEMAPHORES)):
            return
        for n in range(SEMAPHORES):
            self.tokens[n] -= wait >> n & 1
        queue.waiting.popleft()
        queue.started.append(index)
        self.start[index] = now + 1
        queue.offered = True
        model.offer(now + _COMMAND, index, item, lambda when: self.at(when + 1, self._taken, unit),
                    lambda when: self.at(when, self._done, unit))
        self.at(now, self._dispatch)

    def _taken(self, now, unit: Unit) -> None:
        self.queues[unit].offered = False
        self._try(now, unit)

    def _done(self, now, unit: Unit) -> None:
        queue = self.queues[unit]
        index = queue.started.popleft()
        self.end[index] = now + 1
        self.busy[index] = now + 1 - max(self.start[index], queue.done_at)
        queue.done_at = now + 1
        self.last = max(self.last, now)
        signal = self.program[index]["signal"]
        for n in range(SEMAPHORES):
            if signal >> n & 1:
                self.at(now + _TOKEN, self._give, n)
        self.at(now + _TOKEN, self._try, unit)

    def _give(self, now, semaphore: int) -> None:
        self.tokens[semaphore] += 1
        for unit, queue in self.queues.items():
            if queue.waiting and self.program[queue.waiting[0][0]]["wait"] >> semaphore & 1:
                self._try(now, unit)


def predict(program: Sequence[Instruction], config: MachineConfig, tiles: Mapping[int, np.ndarray],
            bandwidth: float | None = None, latency: int = 30) -> Prediction:
    """Cycles of `program` on `config`.

    tiles : index of a MATMUL -> cycles that the array issues each of its panels (`host.durations`)
    bandwidth : bytes a cycle of the memory, both directions together; None: what the bus carries in both
    latency : of the memory, from a read's address to its first data
    """
    return _Run(program, config, tiles, bandwidth, latency).run()
