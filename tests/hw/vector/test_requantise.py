# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.config import load_config
from hw.numerics import SHIFT_MAX, requantise, round_shift
from hw.vector.requantise import Requantise

CONFIG = load_config("tiny").replace(ccpes=1, k_max=256)
HALF = 1 << CONFIG.acc_bits - 1


def make(cycles):
    return Requantise(CONFIG.replace(requantise_cycles=cycles))


def tiles(work):
    """(rows in, scales, accumulators out, int8 out) of [(four values, four multipliers, shift, emit)]."""
    rows, scales, accumulators, int8 = [], [], [], []
    for tag, (values, multiplier, shift, emit) in enumerate(work):
        for row in range(4):
            turned = values[row:] + values[:row]
            beat = {"value": turned, "row": row, "last": int(row == 3), "rows": 3, "cols": 2, "tag": tag % 65536}
            rows.append({**beat, "emit": emit})
            if emit & 1:
                accumulators.append(rows[-1])
            if emit & 2:
                scaled = [requantise(v, f, shift) for v, f in zip(turned, multiplier, strict=True)]
                int8.append({**beat, "value": scaled})
        if emit & 2:
            scales.append({"multiplier": multiplier, "shift": shift})
    return rows, scales, accumulators, int8


def check(play, work, stall=0.0, dut=None):
    rows, scales, accumulators, int8 = tiles(work)
    run = play(dut or make(1), {"i": rows, "scale": scales}, {"accumulators": len(accumulators), "o": len(int8)},
               stall)
    assert run.beats["accumulators"] == accumulators
    assert run.beats["o"] == int8
    return run


def near_ties(shift, multiplier):
    """Accumulators whose products lie at, below and above a tie or an end of the int8 range."""
    half = (1 << shift) // 2
    targets = [half * odd for odd in (-1, 1, -3, 3, 255, -255, 257, -257)] + [127 << shift, -128 << shift]
    near = [target // multiplier + step for target in targets for step in (-1, 0, 1)] + [HALF - 1, -HALF, 0]
    return [value for value in near if -HALF <= value < HALF]


def test_every_shift_at_its_ties_and_ends(play):
    work = []
    for shift in range(SHIFT_MAX + 1):
        for multiplier in (1, 1365, 4095):
            values = near_ties(shift, multiplier)
            values += [0] * (-len(values) % 4)
            work += [(values[n:n + 4], [multiplier] * 4, shift, 2) for n in range(0, len(values), 4)]
    check(play, work)


def test_rounds_half_up():
    assert [round_shift(x, 1) for x in (-3, -1, 1, 3)] == [-1, 0, 1, 2]
    assert requantise(-5, 1, 1) == -2 and requantise(5, 1, 1) == 3
    assert (requantise(HALF, 4095, 0), requantise(-HALF, 4095, 0)) == (127, -128)


@pytest.mark.parametrize("cycles", [1, 2, 3, 4])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_both_outputs_at_their_own_pace(play, stall, cycles):
    draw = random.Random(3)
    work = [([draw.randint(-HALF, HALF - 1) for _ in range(4)], [draw.randint(0, 4095) for _ in range(4)],
             draw.randint(8, 30), draw.randint(1, 3)) for _ in range(60)]
    check(play, work, stall, make(cycles))


@pytest.mark.parametrize("cycles", [1, 2, 3, 4])
def test_stated_latency_and_the_rows_of_a_tile_back_to_back(play, cycles):
    dut = make(cycles)
    run = check(play, [([1, 2, 3, 4], [9, 1000, 0, 4095], 1, 2)] * 20, dut=dut)
    into, out = run.moved["i"], run.moved["o"]
    assert dut.latency == 4 + cycles
    # A row has entered with its last part; the first tile waits for its scale, the last is under way alone.
    assert out[-1] - into[-1] == dut.latency - (cycles - 1)
    assert out[-1] - out[0] == cycles * (4 * 20 - 1)


def test_accumulators_do_not_wait_for_the_lanes(play):
    run = check(play, [([1, 2, 3, 4], [9] * 4, 1, 1)] * 20, dut=make(4))
    assert run.moved["accumulators"][-1] - run.moved["accumulators"][0] == 4 * 20 - 1
