# SPDX-License-Identifier: Apache-2.0
"""Instructions start in the order of their unit and when their semaphores allow; what cannot go on is reported."""

import random

import pytest
from amaranth.sim import Simulator

from hw.config import load_config
from hw.control.fault import FaultKind
from hw.control.isa import FORMATS, SEMAPHORES, Opcode, encode, instruction
from hw.control.rules import limits
from hw.control.sequencer import Sequencer
from model.exact.machine.executor import _set as bits

CONFIG = load_config("tiny").replace(pegs=2)
UNITS = [(Opcode.LOAD, 0), (Opcode.STORE, 0), (Opcode.VECTOR, 0), (Opcode.MATMUL, 0), (Opcode.MATMUL, 1)]


def simulate(program, seed=1, limit=20_000, slow=0.6):
    """(events, fault kind): events are (index, "start" or "done") in order; units take random times."""
    dut, draw, events, end = Sequencer(CONFIG), random.Random(seed), [], []
    queues = [[n for n, item in enumerate(program) if not isinstance(item, bytes)
               and item.opcode is opcode and item["unit"] == index] for opcode, index in UNITS]

    async def bench(ctx):
        codes = [item if isinstance(item, bytes) else encode(item) for item in program]
        sent, running = 0, [[] for _ in UNITS]
        for _ in range(limit):
            offered = sent < len(codes) and draw.random() < 0.7
            if offered:
                ctx.set(dut.i.payload, int.from_bytes(codes[sent], "little"))
            ctx.set(dut.i.valid, offered)
            finishing = [bool(under) and draw.random() > slow for under in running]
            takes = [draw.random() < 0.5 for _ in UNITS]
            ctx.set(dut.done, sum(bit << u for u, bit in enumerate(finishing)))
            for u, take in enumerate(takes):
                ctx.set(dut.command[u].ready, take)
            wanted = [dut.i.ready, dut.finished, dut.fault.kind, *(c.valid for c in dut.command),
                      *(c.payload for c in dut.command)]
            _, _, ready, finished, fault, *rest = await ctx.tick().sample(*wanted)
            sent += bool(offered and ready)
            for u in range(len(UNITS)):
                if finishing[u]:
                    events.append((running[u].pop(0), "done"))
                if rest[u] and takes[u]:
                    number = queues[u].pop(0)
                    assert rest[len(UNITS) + u] == int.from_bytes(codes[number], "little")
                    running[u].append(number)
                    events.append((number, "start"))
            if finished or (FaultKind(fault) is not FaultKind.NONE and not any(running)):
                end.append(FaultKind(fault))
                return
        raise AssertionError(f"stuck after {events[-5:]}")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return events, end[0]


def draw_program(draw, length):
    """A program that can finish: what is waited for has been signalled before it in program order, and only one unit
    waits for a semaphore, so none takes what another one needs."""
    program, free = [], [0] * SEMAPHORES
    for _ in range(length):
        opcode, unit = draw.choice(UNITS)
        mine = UNITS.index((opcode, unit))
        there = [n for n in range(SEMAPHORES) if free[n] and n % len(UNITS) == mine]
        wait = draw.sample(there, min(len(there), draw.randint(0, 3)))
        signal = [n for n in draw.sample(range(SEMAPHORES), draw.randint(0, 3)) if free[n] < 100]
        for n in wait:
            free[n] -= 1
        for n in signal:
            free[n] += 1
        program.append(instruction(opcode, unit=unit, wait=sum(1 << n for n in wait),
                                   signal=sum(1 << n for n in signal)))
    return [*program, instruction(Opcode.END)]


@pytest.mark.parametrize("seed", range(4))
def test_semaphores_order_the_units(seed):
    program = draw_program(random.Random(seed), 120)
    events, fault = simulate(program, seed)
    assert fault is FaultKind.NONE
    counts = [0] * SEMAPHORES
    for number, what in events:
        for n in bits(program[number]["wait"] if what == "start" else program[number]["signal"]):
            counts[n] += -1 if what == "start" else 1
            assert counts[n] >= 0
    assert sorted(n for n, what in events if what == "done") == list(range(len(program) - 1))


def test_deadlock_is_reported():
    program = [instruction(Opcode.LOAD, signal=1), instruction(Opcode.VECTOR, wait=3), instruction(Opcode.END)]
    events, fault = simulate(program)
    assert fault is FaultKind.DEADLOCK and [n for n, _ in events] == [0, 0]


def test_nothing_starts_after_a_fault():
    program = [instruction(Opcode.LOAD, signal=1), instruction(Opcode.LOAD), instruction(Opcode.VECTOR, wait=1),
               bytes([255]) * len(encode(instruction(Opcode.END)))]
    for seed in range(4):
        events, fault = simulate(program, seed, slow=0.98)
        assert fault is FaultKind.INSTRUCTION and (2, "start") not in events


def test_too_many_signals_are_reported():
    program = [instruction(Opcode.LOAD, signal=4) for _ in range(256)]
    assert simulate([*program, instruction(Opcode.END)])[1] is FaultKind.TOKEN


def illegal():
    """Every field of every format one beyond what this machine allows, and every bit that no field names."""
    high = limits(CONFIG)
    for opcode, fields in FORMATS.items():
        code = int.from_bytes(encode(instruction(opcode)), "little")
        named = sum(((1 << field.bits) - 1) << field.position for field in fields)
        for field in fields:
            top = (1 << field.bits) - 1
            units = CONFIG.pegs - 1 if opcode is Opcode.MATMUL else 0
            last = min(field.last, high.get(field.name, top), units if field.name == "unit" else top)
            wrong = [last + 1] if not field.kind else [max(m.value for m in field.members) + 1]
            wrong += [field.low - 1] if field.low else []
            wrong += [field.low + 1] if field.step > 1 else []
            for value in wrong:
                if value <= top:
                    yield (f"{opcode.name}.{field.name}={value}",
                           (code & ~(top << field.position) | value << field.position).to_bytes(64, "little"))
        for bit in random.Random(opcode.value).sample([n for n in range(512) if not named >> n & 1], 3):
            yield f"{opcode.name} bit {bit}", (code | 1 << bit).to_bytes(64, "little")
    yield "opcode 0", bytes(64)


@pytest.mark.parametrize("name, code", list(illegal()), ids=lambda value: value if isinstance(value, str) else "")
def test_illegal_instruction_is_reported_and_nothing_of_it_starts(name, code):
    program = [instruction(Opcode.LOAD), code, instruction(Opcode.STORE), instruction(Opcode.END)]
    events, fault = simulate(program)
    assert fault is FaultKind.INSTRUCTION and {n for n, _ in events} <= {0}
