# SPDX-License-Identifier: Apache-2.0
"""Law of a program: queues in order, semaphores between them, any order that those allow."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hw.config import MachineConfig
from hw.control.isa import SEMAPHORE_BITS, SEMAPHORES, Instruction, Opcode
from hw.control.isa_text import disassemble
from hw.errors import VidaError
from model.exact.machine.matmul import Held, matmul
from model.exact.machine.matrix import line_bytes
from model.exact.machine.move import move
from model.exact.machine.store import Fault, ProgramError, Store
from model.exact.machine.vector import VectorLaw, beats

#: Of a queue: opcode and index of the unit.
Unit = tuple[Opcode, int]


@dataclass
class Counts:
    """What a program did: instructions and work of each kind of unit.

    Members
    -------
    instructions : by opcode name
    products : left times right values of matmuls, zeros included, padding not
    beats : that the vector unit takes of x
    loaded, stored : bytes
    """

    instructions: Counter[str] = field(default_factory=Counter)
    products: int = 0
    beats: int = 0
    loaded: int = 0
    stored: int = 0


class Executor:
    """Runs programs on DRAM and global buffer, which keep their contents from one program to the next.

    Parameters
    ----------
    config : the machine
    dram_bytes : size of DRAM, from address 0
    strict : reading what nothing has written is a fault
    seed : None issues in fetch order where possible; a number draws a random order of the queues that are ready
    queue_depth : instructions that wait in a unit's queue; None: no limit
    """

    def __init__(self, config: MachineConfig, dram_bytes: int, strict: bool = True, seed: int | None = None,
                 queue_depth: int | None = None) -> None:
        self.config, self.queue_depth = config, queue_depth
        self.dram = Store("DRAM", dram_bytes, strict, seed=1)
        size = config.buffers * config.buffer_lines * line_bytes(config.ccpes)
        self.buffer = Store("buffer", size, strict, seed=2)
        self.vector = VectorLaw(self.buffer, config.ccpes)
        self.held: dict[int, Held] = {}
        self._draw = None if seed is None else random.Random(seed)

    def run(self, program: Sequence[Instruction]) -> Counts:
        """Run `program` to its END; raises `ProgramError` where it faults, and leaves memory as it then is."""
        counts, tokens, fetched = Counts(), [0] * SEMAPHORES, 0
        queues: dict[Unit, deque[int]] = {}
        while True:
            fetched = self._fetch(program, fetched, queues)
            ready = [unit for unit, queue in queues.items() if queue and _may_start(program[queue[0]], tokens)]
            if not ready:
                if not any(queues.values()):
                    break
                raise _deadlock(program, queues, tokens)
            unit = self._draw.choice(ready) if self._draw else min(ready, key=lambda unit: queues[unit][0])
            index = queues[unit].popleft()
            try:
                self._step(program[index], tokens, counts)
            except VidaError as error:
                kind = error.kind if isinstance(error, ProgramError) else Fault.ILLEGAL
                message = error.message if isinstance(error, ProgramError) else str(error)
                raise ProgramError(kind, f"{message}; {disassemble(program[index])}", index) from None
        if fetched == len(program):
            raise ProgramError(Fault.TRUNCATED, f"program of {len(program)} instructions without END")
        counts.instructions["END"] += 1
        return counts

    def _fetch(self, program: Sequence[Instruction], fetched: int, queues: dict[Unit, deque[int]]) -> int:
        """Move instructions to their queues until END or a full queue; returns the index of the next one."""
        while fetched < len(program) and program[fetched].opcode is not Opcode.END:
            item = program[fetched]
            if item["unit"] >= (self.config.pegs if item.opcode is Opcode.MATMUL else 1):
                message = f"{item.opcode.name}: unit is {item['unit']}, below {self.config.pegs} allowed"
                raise ProgramError(Fault.ILLEGAL, message, fetched)
            queue = queues.setdefault((item.opcode, item["unit"]), deque())
            if self.queue_depth is not None and len(queue) >= self.queue_depth:
                break
            queue.append(fetched)
            fetched += 1
        return fetched

    def _step(self, item: Instruction, tokens: list[int], counts: Counts) -> None:
        for n in _set(item["wait"]):
            tokens[n] -= 1
        self._run(item, counts)
        for n in _set(item["signal"]):
            tokens[n] += 1
            if tokens[n] >> SEMAPHORE_BITS:
                raise ProgramError(Fault.TOKENS, f"semaphore {n} counts to {tokens[n]}, {tokens[n] - 1} allowed")

    def _run(self, item: Instruction, counts: Counts) -> None:
        counts.instructions[item.opcode.name] += 1
        match item.opcode:
            case Opcode.LOAD:
                counts.loaded += move(item, self.dram, self.buffer, self.config.ccpes)
            case Opcode.STORE:
                counts.stored += move(item, self.dram, self.buffer, self.config.ccpes)
            case Opcode.MATMUL:
                self.held[item["unit"]] = matmul(item, self.buffer, self.held.get(item["unit"]), self.config)
                counts.products += item["rows"] * item["cols"] * item["k"]
            case Opcode.VECTOR:
                self.vector.run(item)
                counts.beats += beats(item, self.config.lanes)


def _set(mask: int) -> list[int]:
    return [n for n in range(SEMAPHORES) if mask >> n & 1]


def _may_start(item: Instruction, tokens: list[int]) -> bool:
    return all(tokens[n] for n in _set(item["wait"]))


def _deadlock(program: Sequence[Instruction], queues: dict[Unit, deque[int]], tokens: list[int]) -> ProgramError:
    waits = []
    for queue in queues.values():
        if queue:
            missing = "+".join(str(n) for n in _set(program[queue[0]]["wait"]) if not tokens[n])
            waits.append(f"instruction {queue[0]} ({program[queue[0]].opcode.name}) for semaphore {missing}")
    return ProgramError(Fault.DEADLOCK, "nothing can start: " + ", ".join(waits))
