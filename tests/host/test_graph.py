# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from host.graph import Task, dependencies, through_vector
from host.schedule import schedule
from host.tokens import assign, pairs, reduce_pairs
from hw.control.isa import SEMAPHORES, Opcode
from hw.errors import VidaError

LOAD, VECTOR, MATMUL, STORE = Opcode.LOAD, Opcode.VECTOR, Opcode.MATMUL, Opcode.STORE


def _task(opcode, reads=0, writes=0, cycles=1):
    return Task(opcode, {}, reads, writes, "operator", cycles)


def _random(count, seed):
    draw = random.Random(seed)
    return [_task(draw.choice([LOAD, VECTOR, MATMUL, STORE]), 1 << draw.randrange(12), 1 << draw.randrange(12),
                  draw.randint(1, 30)) for _ in range(count)]


def _ancestors(before):
    found = []
    for earlier in before:
        found.append(set(earlier).union(*(found[n] for n in earlier)))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_whatever_conflicts_is_ordered(seed):
    tasks = _random(150, seed)
    ancestors = _ancestors(dependencies(tasks))
    for n, task in enumerate(tasks):
        for m in range(n):
            other = tasks[m]
            if other.writes & (task.reads | task.writes) or other.reads & task.writes:
                assert m in ancestors[n]


@pytest.mark.parametrize("seed", range(5))
def test_the_schedule_respects_dependencies_and_queues(seed):
    tasks = _random(150, seed)
    before = dependencies(tasks)
    slots = schedule(tasks, before)
    when = {slot.task: slot for slot in slots}
    assert sorted(when) == list(range(150))
    assert [slot.start for slot in slots] == sorted(slot.start for slot in slots)
    for n, earlier in enumerate(before):
        assert all(when[m].end <= when[n].start for m in earlier)
    for opcode in (LOAD, VECTOR, MATMUL, STORE):
        mine = [slot for slot in slots if tasks[slot.task].opcode is opcode]
        assert all(a.end <= b.start for a, b in zip(mine, mine[1:], strict=False))


@pytest.mark.parametrize("seed", range(5))
def test_semaphores_hold_every_dependency_and_every_token_is_taken(seed):
    """Whatever the order: the tokens that a task has taken prove that what it depends on is complete."""
    tasks = _random(150, seed)
    before = dependencies(tasks)
    slots = schedule(tasks, before)
    masks = assign(tasks, before, slots)
    signals = {n: [slot.task for slot in slots if masks[slot.task][1] >> n & 1] for n in range(SEMAPHORES)}
    waits = {n: [slot.task for slot in slots if masks[slot.task][0] >> n & 1] for n in range(SEMAPHORES)}
    place = {slot.task: position for position, slot in enumerate(slots)}
    assert all(len(signals[n]) == len(waits[n]) for n in range(SEMAPHORES))
    assert len([n for n in signals if signals[n]]) <= len(pairs(tasks, before))
    proved = [set() for _ in tasks]  # what is complete when a task starts
    for slot in slots:
        queue = tasks[slot.task].queue
        mine = [other.task for other in slots[:place[slot.task]] if tasks[other.task].queue == queue]
        known = set(mine).union(*(proved[m] for m in mine))
        for n in range(SEMAPHORES):
            if masks[slot.task][0] >> n & 1:
                source = signals[n][waits[n].index(slot.task)]
                until = slots[:place[source] + 1]
                done = [other.task for other in until if tasks[other.task].queue == tasks[source].queue]
                known |= set(done).union(*(proved[m] for m in done))
        proved[slot.task] = known
        assert before[slot.task] <= known


def test_dependencies_go_through_the_vector_unit():
    tasks = [_task(LOAD, writes=1), _task(VECTOR, writes=2), _task(MATMUL, reads=3, writes=4), _task(VECTOR, reads=4),
             _task(LOAD, writes=1)]
    before = dependencies(tasks)
    assert before == [set(), set(), {0, 1}, {2}, {2, 0}]
    through_vector(tasks, before, LOAD, MATMUL)
    through_vector(tasks, before, MATMUL, LOAD)
    assert before == [set(), {0}, {1}, {2}, {0, 3}]
    with pytest.raises(VidaError, match="no vector operation between LOAD and MATMUL"):
        through_vector([tasks[0], tasks[2]], [set(), {0}], LOAD, MATMUL)


def test_more_queues_than_semaphores_are_refused():
    tasks = [_task(VECTOR, writes=1)]
    tasks += [Task(MATMUL, {"unit": n}, 1, 2 << n, "operator", 1) for n in range(9)]
    tasks += [_task(VECTOR, reads=2 << n) for n in range(9)]
    with pytest.raises(VidaError, match="program needs 18 semaphores, the machine has 16"):
        reduce_pairs(tasks, dependencies(tasks))
