# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from host.bank_model import Banks, Stream
from host.durations import issue_cycles
from host.foresee import Foresight
from host.listing import work
from host.lower import lower
from host.matmul_model import MatmulModel
from host.memory_model import Memory
from hw.config import load_config
from hw.control.isa import Opcode, instruction
from hw.payloads import Init
from hw.route.allocation import AllocationUnit
from hw.route.issue import NativeIssue
from model.exact.encode.encoder import beats, panel
from model.exact.route.allocation import Tile, schedule
from model.quantise import load_quantised


@pytest.fixture(scope="module")
def ditto():
    return Foresight(lower(load_quantised("tiny")[0], load_config("tiny"), "ditto"), 50, [0, 1])


def test_a_dense_step_keeps_the_array_busy(lowered):
    products = sum(entry.products for entry in work(lowered().step, lowered().operators, lowered().config).values())
    least = 2 * products / lowered().config.multipliers
    assert least < Foresight(lowered(), 50, [0]).step(0).cycles < least / 0.97


def test_steps_by_differences_take_what_is_left_of_their_issues(ditto):
    for step, most in ((0, 1.15), (1, 2.0)):
        items, tiles = ditto.lowered.step.instructions, ditto.tiles[step]
        least = sum(tiles[n].sum() * -(-item["cols"] // ditto.lowered.config.columns)
                    for n, item in enumerate(items) if item.opcode is Opcode.MATMUL)
        assert least < ditto.step(step).cycles < most * least


def test_a_slow_memory_is_the_bound(ditto):
    moved = sum(item["rows"] * item["lines"] * ditto.lowered.config.line_bytes
                for item in ditto.lowered.step.instructions if item.opcode in (Opcode.LOAD, Opcode.STORE))
    assert moved / 4 < ditto.step(1, 4).cycles < 1.1 * moved / 4
    found = [ditto.step(1, width).cycles for width in (4, 8, 16, 64, None)]
    assert found == sorted(found, reverse=True)


def test_a_run_between_steps_is_interpolated(ditto):
    run = ditto.run()
    first, second = ditto.step(0).cycles, ditto.step(1).cycles
    assert run.cycles == pytest.approx(first + 49 * second)
    one = ditto.step(1).operators(ditto.lowered.step.instructions, ditto.lowered.operators)
    zero = ditto.step(0).operators(ditto.lowered.step.instructions, ditto.lowered.operators)
    assert run.operators["block0.fc1"]["peg0"] == pytest.approx(
        zero["block0.fc1"]["peg0"] + 49 * one["block0.fc1"]["peg0"])


def test_instructions_of_a_unit_end_in_order_and_are_busy_once(ditto):
    prediction, last = ditto.step(1), {}
    for item, span in zip(ditto.lowered.step.instructions, prediction.slots):
        unit = item.opcode, item["unit"]
        assert span.start < span.end <= prediction.cycles and span.end >= last.get(unit, 0)
        assert 0 < span.busy <= span.end - span.start + 1      # cycles are rounded
        last[unit] = span.end
    busy = sum(sum(units.values()) for units in
               prediction.operators(ditto.lowered.step.instructions, ditto.lowered.operators).values())
    assert busy == sum(span.busy for span in prediction.slots)


@pytest.mark.parametrize("preset", ["tiny", "default", "paper"])
def test_issue_cycles_add_up_to_the_laws_schedule(preset):
    config, draw = load_config(preset), torch.Generator().manual_seed(5)
    current = torch.randint(-40, 40, (24, 64), generator=draw) * torch.randint(0, 2, (24, 64), generator=draw)
    found = issue_cycles(current, torch.zeros_like(current), config, True, 2)
    again = issue_cycles(current, torch.zeros_like(current), config, True, 2, every=2)
    tiles = [Tile(beats(panel(current, n), panel(torch.zeros_like(current), n), config), 2) for n in range(6)]
    drain = 4 * len(tiles) if preset == "paper" else 0
    assert found.sum() + drain == pytest.approx(schedule(tiles, config).cycles, abs=16)
    assert np.array_equal(again[::2].round(), again[::2]) and again.sum() == pytest.approx(found.sum(), rel=0.1)


def test_a_bank_gives_its_clients_turns_and_the_modest_one_what_it_wants():
    banks, reads = Banks(), (False, 1)
    eager, modest, other = Stream([(reads, 1.0)]), Stream([(reads, 0.25)]), Stream([((True, 1), 1.0)])
    for stream in (eager, modest, other):
        banks.add(0, stream)
    assert (eager.rate, modest.rate, other.rate) == (0.75, 1.0, 1.0)
    twice = Stream([(reads, 1.0), (reads, 1.0)])
    banks.add(5, twice)
    assert twice.rate == eager.rate == 0.25
    banks.remove(9, twice)
    assert eager.rate == 0.75


def test_reads_come_in_order_after_the_latency_and_before_writes():
    events, seen = [], []
    memory = Memory(64, 64, 30, lambda when, what, *rest: events.append((when, len(events), what, rest)))
    memory.read(0, 4, lambda when: seen.append(("first", when)))
    memory.read(1, 2, lambda when: seen.append(("second", when)))
    for _ in range(3):
        memory.write(31, lambda when: seen.append(("write", when)))
    while events:
        events.sort(reverse=True)
        when, _, what, rest = events.pop()
        what(when, *rest)
    ended = dict(seen)
    assert (ended["first"], ended["second"]) == (33, 35)
    assert 36 <= ended["write"] <= 38 and len(seen) == 5       # the memory has saved up for a beat at most


def alone(config, item, issue):
    """Cycles of one MATMUL whose panels issue for so long."""
    events, ended = [], []
    model = MatmulModel(config, {0: np.array(issue)}, Banks(),
                        lambda when, what, *rest: events.append((when, len(events), what, rest)))
    model.offer(0, 0, item, lambda when: None, ended.append)
    while events:
        events.sort(key=lambda event: event[:2], reverse=True)
        when, _, what, rest = events.pop()
        what(when, *rest)
    return ended[0]


def test_native_lanes_are_reached_sooner():
    tiny = load_config("tiny")
    native = tiny.replace(name="native", lane="native", allocation="none", queue_depth=8)
    item = instruction(Opcode.MATMUL, rows=4, cols=8, k=16, emit_accumulators=1, current=1024, right=2048)
    assert alone(tiny, item, [16.0]) - alone(native, item, [16.0]) == AllocationUnit.latency - NativeIssue.latency == 2


@pytest.mark.parametrize("banks, least, most", [((1, 0, 2, 3, 3), 4 * 64, 310), ((1, 1, 2, 1, 3), 64 + 320, 64 + 352)],
                         ids=["slots fill", "a bank is crowded"])
def test_short_tiles_take_as_long_as_their_slots_fill_or_their_lines_come(banks, least, most):
    config = load_config("tiny").replace(name="merging", depth=4, allocation="merge", scan=8, slots=8)
    names = ("current", "reference", "right", "init_address", "accumulators")
    item = instruction(Opcode.MATMUL, rows=16, cols=32, k=64, use_reference=1, init=Init.TILE, emit_accumulators=1,
                       **{name: bank * config.buffer_lines for name, bank in zip(names, banks)})
    # 128 lines of the left operand, as many of the one before, 64 of init; the first slot fills before them all.
    assert config.columns == 8 and least < alone(config, item, [8.0] * 4) < most
