# SPDX-License-Identifier: Apache-2.0
"""Law of a program: queues in order, semaphores between them, any order that those allow."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hw.config import MachineConfig
from hw.control.isa import ROW_SUMS, SEMAPHORE_BITS, SEMAPHORES, Instruction, Opcode
from hw.control.isa_text import disassemble
from hw.control.rules import refusal
from hw.errors import VidaError
from hw.payloads import Init
from model.exact.machine.matmul import Held, left_operands, matmul
from model.exact.machine.move import move
from model.exact.machine.store import Fault, Later, ProgramError, Store
from model.exact.machine.vector import VectorLaw, beats

#: Of a queue: opcode and index of the unit.
Unit = tuple[Opcode, int]


@dataclass(frozen=True)
class Effect:
    """What an instruction will do as it completes: writes that wait, the tile it leaves, the bytes it moves."""

    stores: tuple[Later, ...]
    held: Held
    moved: int


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

    def add(self, item: Instruction, moved: int, config: MachineConfig) -> None:
        """Count one instruction, which has moved so many bytes."""
        self.instructions[item.opcode.name] += 1
        match item.opcode:
            case Opcode.LOAD:
                self.loaded += moved
            case Opcode.STORE:
                self.stored += moved
            case Opcode.MATMUL:
                self.products += item["rows"] * item["cols"] * item["k"]
            case Opcode.VECTOR:
                self.beats += beats(item, config.lanes)


class Executor:
    """Runs programs on DRAM and global buffer, which keep their contents from one program to the next.

    Parameters
    ----------
    config : the machine
    dram_bytes : size of DRAM, from address 0
    strict : reading what nothing has written is a fault
    seed : None runs one instruction after the other, in fetch order where possible; a number draws an order from all
        that the semaphores allow. A unit then has several instructions under way: it may read the operands of one
        before the one ahead has written its results. They complete in order.
    queue_depth : instructions that wait in a unit's queue; None: no limit

    Members
    -------
    watch : None, or called with index and instruction of every MATMUL before it is computed, and a function that gives
        its left operand and reference, (M, K) int64 each
    """

    def __init__(self, config: MachineConfig, dram_bytes: int, strict: bool = True, seed: int | None = None,
                 queue_depth: int | None = None) -> None:
        self.config, self.queue_depth = config, queue_depth
        self.watch: Callable[[int, Instruction, Callable], None] | None = None
        self.dram = Store("DRAM", dram_bytes, strict, seed=1)
        size = config.buffers * config.buffer_lines * config.line_bytes
        self.buffer = Store("buffer", size, strict, seed=2)
        self.sums = Store("row sums", 4 * ROW_SUMS, strict, seed=3)
        self.held: dict[int, Held] = {}
        self._draw = None if seed is None else random.Random(seed)

    def run(self, program: Sequence[Instruction]) -> Counts:
        """Run `program` to its END; raises `ProgramError` where it faults, and leaves memory as it then is."""
        counts, tokens, fetched = Counts(), [0] * SEMAPHORES, 0
        queues: dict[Unit, deque[int]] = {}
        under_way: dict[Unit, deque[tuple[int, Effect | None]]] = {}
        while True:
            fetched = self._fetch(program, fetched, queues)
            turns = [(True, unit) for unit, started in under_way.items() if started]
            startable = [unit for unit, queue in queues.items() if queue and _may_start(program[queue[0]], tokens)
                         and not (program[queue[0]]["fence"] and under_way.get(unit))]
            turns += [(False, unit) for unit in sorted(startable, key=lambda unit: queues[unit][0])]
            if not turns:
                break
            completes, unit = self._draw.choice(turns) if self._draw else turns[0]
            if completes:
                self._complete(program, *under_way[unit].popleft(), tokens, counts)
            else:
                self._start(program, queues[unit].popleft(), tokens, under_way.setdefault(unit, deque()))
        if any(queues.values()):
            raise _deadlock(program, queues, tokens)
        if fetched == len(program):
            raise ProgramError(Fault.TRUNCATED, f"program of {len(program)} instructions without END")
        counts.instructions["END"] += 1
        return counts

    def _fetch(self, program: Sequence[Instruction], fetched: int, queues: dict[Unit, deque[int]]) -> int:
        """Move instructions to their queues until END or a full queue; returns the index of the next one."""
        while fetched < len(program) and program[fetched].opcode is not Opcode.END:
            item = program[fetched]
            if wrong := refusal(item, self.config):
                raise ProgramError(Fault.ILLEGAL, f"{item.opcode.name}: {wrong}", fetched)
            queue = queues.setdefault((item.opcode, item["unit"]), deque())
            if self.queue_depth is not None and len(queue) >= self.queue_depth:
                break
            queue.append(fetched)
            fetched += 1
        return fetched

    def _start(self, program: Sequence[Instruction], index: int, tokens: list[int], started: deque) -> None:
        """Take the tokens; read the operands now, or (None) as late as it completes."""
        item = program[index]
        for n in _set(item["wait"]):
            tokens[n] -= 1
        early = self._draw and self._draw.random() < 0.5 and not (item.opcode is Opcode.MATMUL and _holds(item))
        started.append((index, self._effect(item, index) if early else None))

    def _complete(self, program: Sequence[Instruction], index: int, effect: Effect | None, tokens: list[int],
                  counts: Counts) -> None:
        """Write the results and give the tokens."""
        item = program[index]
        effect = effect or self._effect(item, index)
        for store in effect.stores:
            store.commit()
        if item.opcode is Opcode.MATMUL:
            self.held[item["unit"]] = effect.held
        counts.add(item, effect.moved, self.config)
        for n in _set(item["signal"]):
            tokens[n] += 1
            if tokens[n] >> SEMAPHORE_BITS:
                message = f"semaphore {n} counts to {tokens[n]}, {tokens[n] - 1} allowed"
                raise ProgramError(Fault.TOKENS, message, index)

    def _effect(self, item: Instruction, index: int) -> Effect:
        """Compute an instruction from what memory holds now."""
        dram, buffer, sums = stores = Later(self.dram), Later(self.buffer), Later(self.sums)
        held, moved = None, 0
        try:
            if item.opcode is Opcode.MATMUL:
                if self.watch:
                    self.watch(index, item, lambda: left_operands(item, buffer, self.config.ccpes))
                held = matmul(item, buffer, self.held.get(item["unit"]), self.config)
            elif item.opcode is Opcode.VECTOR:
                VectorLaw(buffer, sums, self.config).run(item)
            else:
                moved = move(item, dram, buffer, self.config.ccpes)
        except VidaError as error:
            kind = error.kind if isinstance(error, ProgramError) else Fault.ILLEGAL
            raise ProgramError(kind, f"{error}; {disassemble(item)}", index) from None
        return Effect(stores, held, moved)


def _set(mask: int) -> list[int]:
    return [n for n in range(SEMAPHORES) if mask >> n & 1]


def _holds(item: Instruction) -> bool:
    """It begins with what the one before leaves, so it is computed after it."""
    return item["init"] is Init.HOLD


def _may_start(item: Instruction, tokens: list[int]) -> bool:
    return all(tokens[n] for n in _set(item["wait"]))


def _deadlock(program: Sequence[Instruction], queues: dict[Unit, deque[int]], tokens: list[int]) -> ProgramError:
    waits = []
    for queue in queues.values():
        if queue:
            missing = "+".join(str(n) for n in _set(program[queue[0]]["wait"]) if not tokens[n])
            waits.append(f"instruction {queue[0]} ({program[queue[0]].opcode.name}) for semaphore {missing}")
    return ProgramError(Fault.DEADLOCK, "nothing can start: " + ", ".join(waits))
