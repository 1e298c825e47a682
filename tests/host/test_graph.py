# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from host.graph import Cost, Task, dependencies, needs_token, overwriting, relay, resequence, through_vector
from host.schedule import schedule
from host.tokens import assign
from hw.control.isa import SEMAPHORES, Opcode
from hw.errors import VidaError

LOAD, VECTOR, MATMUL, STORE = Opcode.LOAD, Opcode.VECTOR, Opcode.MATMUL, Opcode.STORE


LEAD, TAIL = 5, 7


def _task(opcode, reads=0, writes=0, beats=1, unit=0):
    return Task(opcode, {"unit": unit}, reads, writes, "operator", Cost(LEAD, beats, TAIL))


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
        for m in earlier:
            apart = LEAD + TAIL if needs_token(tasks[n], tasks[m]) else 0
            assert when[m].end + apart <= when[n].start
    for opcode in (LOAD, VECTOR, MATMUL, STORE):
        mine = [slot for slot in slots if tasks[slot.task].opcode is opcode]
        assert all(a.end <= b.start for a, b in zip(mine, mine[1:], strict=False))


def _complete(tasks, slots, masks):
    """By task: what the tokens it has taken, and the fences, prove to be complete as it starts."""
    signals = {n: [slot.task for slot, mask in zip(slots, masks) if mask[1] >> n & 1] for n in range(SEMAPHORES)}
    waits = {n: [slot.task for slot, mask in zip(slots, masks) if mask[0] >> n & 1] for n in range(SEMAPHORES)}
    assert all(len(signals[n]) == len(waits[n]) for n in range(SEMAPHORES))
    place = {slot.task: position for position, slot in enumerate(slots)}
    proved = [set() for _ in tasks]

    def until(position, queue):
        """All tasks of a queue before a position, and what they had proved."""
        mine = [slot.task for slot in slots[:position] if tasks[slot.task].queue == queue]
        return set(mine), set().union(*(proved[task] for task in mine))

    for position, (slot, (wait, _, fence)) in enumerate(zip(slots, masks, strict=True)):
        done, known = until(position, tasks[slot.task].queue)
        known |= done if fence else set()
        for n in range(SEMAPHORES):
            if wait >> n & 1:
                source = signals[n][waits[n].index(slot.task)]
                known |= set().union(*until(place[source] + 1, tasks[source].queue))
        proved[slot.task] = known
    return proved


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("semaphores", [16, 13])
def test_tokens_and_fences_prove_every_dependency(seed, semaphores, monkeypatch):
    monkeypatch.setattr("host.tokens.SEMAPHORES", semaphores)
    tasks = _random(150, seed)
    before = dependencies(tasks)
    slots = schedule(tasks, before)
    masks = assign(tasks, before, slots)
    assert max(max(wait, signal) for wait, signal, _ in masks) < 1 << semaphores
    assert any(fence for _, _, fence in masks) is (semaphores < 16)
    proved = _complete(tasks, slots, masks)
    for n, earlier in enumerate(before):
        assert {m for m in earlier if needs_token(tasks[n], tasks[m])} <= proved[n]


def test_a_pure_overwrite_by_the_same_peg_is_ordered():
    """Its two kinds of results go two ways; where something read what is overwritten, that has waited for it."""
    def masks(*tasks):
        tasks = overwriting(tasks)
        before = dependencies(tasks)
        return [mask[:2] for mask in assign(tasks, before, schedule(tasks, before))]

    one, other = (_task(MATMUL, writes=3), _task(MATMUL, writes=6))
    assert masks(one, other) == masks(one, _task(VECTOR, reads=8), other)[::2] == [(0, 1), (1, 0)]
    assert masks(_task(MATMUL, reads=3, writes=3), other) == [(0, 1), (1, 0)]
    assert masks(one, _task(MATMUL, writes=4)) == [(0, 0), (0, 0)]
    assert masks(one, _task(VECTOR, reads=2, writes=8), other) == [(0, 1), (1, 2), (2, 0)]
    assert masks(one, _task(VECTOR, writes=2), other) == [(0, 1), (1, 2), (2, 0)]
    for opcode in (VECTOR, LOAD):      # whose results go one way
        assert masks(_task(opcode, writes=1), _task(opcode, writes=1)) == [(0, 0), (0, 0)]


def test_dependencies_go_through_the_vector_unit():
    tasks = [_task(LOAD, writes=1), _task(VECTOR, writes=2), _task(MATMUL, reads=3, writes=4), _task(VECTOR, reads=4),
             _task(LOAD, writes=1)]
    before = dependencies(tasks)
    assert before == [set(), set(), {0, 1}, {2}, {2, 0}]
    through_vector(tasks, before, LOAD, MATMUL)
    through_vector(tasks, before, MATMUL, LOAD)
    assert before == [set(), {0}, {1}, {2}, {0, 3}]


def test_a_dependency_stays_where_no_vector_lies_between():
    tasks = [_task(VECTOR, writes=2), _task(LOAD, writes=1), _task(MATMUL, reads=3)]
    before = dependencies(tasks)
    through_vector(tasks, before, LOAD, MATMUL)
    assert before == [set(), set(), {0, 1}]
    passing = _task(VECTOR)
    assert relay(tasks, before, LOAD, MATMUL, passing) == (
        [*tasks[:2], passing, tasks[2]], [set(), set(), {1}, {0, 2}])
    again, before = resequence(tasks, before, LOAD, -2)
    assert [task.opcode for task in again] == [LOAD, VECTOR, MATMUL]
    through_vector(again, before, LOAD, MATMUL)
    assert before == [set(), {0}, {1}]


def test_what_a_task_waits_for_is_passed_on_to_others_too():
    tasks = [_task(MATMUL, writes=1), _task(MATMUL, writes=2, unit=1), _task(MATMUL, 3, 4), _task(MATMUL, 3, 8, unit=1)]
    passing = _task(VECTOR)
    again, links = relay(tasks, dependencies(tasks), MATMUL, MATMUL, passing)
    assert again == [*tasks[:2], passing, *tasks[2:]]
    assert links == [set(), set(), {0, 1}, {0, 2}, {1, 2}]


@pytest.mark.parametrize("seed", range(3))
def test_another_order_is_right_too(seed):
    tasks = _random(150, seed)
    before = dependencies(tasks)
    again, moved = resequence(tasks, before, LOAD, -30)
    assert all(m < n for n, earlier in enumerate(moved) for m in earlier)
    order = [next(n for n, other in enumerate(tasks) if other is task) for task in again]
    assert [{order[m] for m in earlier} for earlier in moved] == [before[n] for n in order]
    loads = [[n for n, task in enumerate(some) if task.opcode is LOAD] for some in (tasks, again)]
    assert sum(loads[1]) < sum(loads[0])


def test_more_queues_than_semaphores_are_refused():
    tasks = [_task(VECTOR, writes=1)]
    tasks += [_task(MATMUL, 1, 2 << n, unit=n) for n in range(9)]
    tasks += [_task(VECTOR, reads=2 << n) for n in range(9)]
    with pytest.raises(VidaError, match="program needs 18 semaphores, the machine has 16"):
        assign(tasks, dependencies(tasks), schedule(tasks, dependencies(tasks)))
