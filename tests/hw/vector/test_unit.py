# SPDX-License-Identifier: Apache-2.0
"""The vector unit against its laws: every operation, corner values, stalls on every stream, several lane counts."""

import random

import pytest
import torch

from hw.config import load_config
from hw.vector.operations import Op
from hw.vector.unit import VectorUnit
from model.exact.vector.gelu import GeluParams
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.exact.vector.scaling import Scale
from verif.vector import (
    gelu_of,
    layernorm_of,
    normalise_of,
    requantise16_of,
    residual_of,
    snap_of,
    softmax_of,
    traffic,
)

CONFIG = load_config("tiny").replace(k_max=8192)    # accumulators of 28 bits, as the laws state them


def unit(lanes):
    return VectorUnit(CONFIG.replace(ccpes=max(1, lanes // 2), vector_lanes=lanes))


def uniform(shape, bits, seed=0):
    half = 1 << bits - 1
    return torch.randint(-half, half, shape, generator=torch.Generator().manual_seed(seed))


def check(play, operations, lanes, stall=0.0, seed=1):
    beats = traffic(operations, lanes, random.Random(seed))
    want = beats.pop("o")
    run = play(unit(lanes), beats, {"o": len(want)}, stall, seed)
    for n, (got, expected) in enumerate(zip(run.beats["o"], want, strict=True)):
        assert got["last"] == expected["last"], n
        for lane, value in enumerate(expected["value"]):
            assert value is None or got["value"][lane] == value, (n, lane)
    return run



SUMS = 1000


def accumulators(shape, seed=0):
    """28 bits: extremes, small values and all between."""
    acc = uniform(shape, 28, seed) >> torch.randint(0, 26, shape, generator=torch.Generator().manual_seed(seed + 1))
    acc.view(-1)[:4] = torch.tensor([-(1 << 27), (1 << 27) - 1, 0, -1])
    return acc


def multipliers(count, seed=0):
    values = torch.randint(0, 4096, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
    return tuple([4095, 0, 1][:count] + values[3:])


def requantise16_work():
    x = uniform((3, 5), 16)
    x[0, :3] = torch.tensor([-32768, 32767, -1])
    return [requantise16_of(x, Scale(*scale)) for scale in (((2731,), 20), ((1,), 0), ((4095,), 39), ((1,), 1))]


def gelu_work():
    # The hidden multiplier 1 and shift 0 bring int16 through: the knee, the table's ends, both extremes.
    h = torch.tensor([[0, 1, -1, 8191, 8192, -8191, -8192], [32767, -32768, -300, 300, 5000, -5000, 127]])
    through = gelu_of(h, GeluParams(Scale((1,) * 7, 0), Scale((4095,), 19)))
    drawn = gelu_of(accumulators((4, 7)), GeluParams(Scale(multipliers(7), 21), Scale((2048,), 18)))
    return [through, drawn]


def residual_work():
    x, gate = uniform((3, 5), 16, 3), uniform((5,), 16, 4)
    x[0, :3] = torch.tensor([-32768, 32767, 32767])
    gate[:3] = torch.tensor([-32768, -32768, 32767])
    return [residual_of(x, gate, accumulators((3, 5), n), ResidualParams(Scale((*multipliers(4), 2000), shift), n))
            for n, shift in ((0, 12), (3, 20), (8, 0))]


def layernorm_rows(rows, cols, amplitude=3000):
    x = uniform((rows, cols), 16, cols) * amplitude >> 15
    x[0] = 32767 - 65535 * (torch.arange(cols) % 2)                                         # widest sums of squares
    x[rows - 1] = -32768                                                                    # constant: variance 0
    return x


def layernorm_work(group=1):
    work = []
    for n, (rows, cols, epsilon) in enumerate(((3, 8, 1), (1, 1, (1 << 54) - 1), (20, 3, 12345), (2, 21, 1 << 30))):
        scale, shift = uniform((cols,), 16, n), uniform((cols,), 16, n + 9)
        scale[0], shift[0] = (32767, 32767) if n % 2 else (-32768, -32768)
        params = LayerNormParams(epsilon, Scale((2731,), 19))
        work.append(layernorm_of(layernorm_rows(rows, cols), scale, shift, params, group))
    return work


def softmax_work(group=1):
    rows = uniform((19, 5), 18)
    rows[0], rows[1] = 7, torch.tensor([-(1 << 27), (1 << 27) - 1, 0, 5, -5])               # all equal; both ends
    return [softmax_of(rows, Scale((2900,), 12), SUMS, group), softmax_of(rows[:, :1], Scale((1,), 0), 40, group),
            softmax_of(uniform((2, 20), 28), Scale((4095,), 39), 0, group)]


def normalise_work():
    """Softmax leaves row sums from one entry of 127 up; two commands read some of them back, wrapping about."""
    scores, acc = uniform((6, 9), 18, 2), accumulators((6, 5), 3)
    scores[0] = 3
    fill = softmax_of(scores, Scale((2900,), 12), 1021)
    acc[1] = uniform((5,), 17)
    return [fill, normalise_of(acc, fill.sums, Scale(multipliers(5), 13), 1021),
            normalise_of(acc[4:5] >> 9, fill.sums[4:5], Scale((4095,) * 5, 16), 1021 + 4)]


def snap_work():
    x, reference = uniform((4, 5), 8), uniform((4, 5), 8, 1)
    x[0, :4], reference[0, :4] = torch.tensor([-128, 127, 5, 5]), torch.tensor([127, -128, 6, 3])
    return [snap_of(x, reference, threshold) for threshold in (0, 1, 60, 254, 255)]


WORK = {"requantise16": requantise16_work, "gelu": gelu_work, "residual": residual_work, "layernorm": layernorm_work,
        "softmax": softmax_work, "normalise": normalise_work, "snap": snap_work}


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_equals_the_law(play, name, stall):
    check(play, WORK[name](), 2, stall)


@pytest.mark.parametrize("lanes, stall", [(8, 0.0), (8, 0.3), (32, 0.2), (6, 0.2)])
def test_operations_follow_one_another_on_any_lanes(play, lanes, stall):
    """One command of each kind, of rows that are shorter and longer than a beat, with groups of rows."""
    acc, x = accumulators((3, 37)), layernorm_rows(18, 9)
    gate, scores = uniform((37,), 16, 7), uniform((3, 35), 18, 3)
    fill = softmax_of(scores, Scale((2900,), 12), 7, group=2)
    check(play, [
        gelu_of(acc, GeluParams(Scale(multipliers(37), 21), Scale((2048,), 18))), fill,
        normalise_of(accumulators((3, 6)), fill.sums, Scale(multipliers(6), 13), 7),
        layernorm_of(x, uniform((9,), 16), uniform((9,), 16, 1), LayerNormParams(99, Scale((2731,), 19)), group=16),
        residual_of(uniform((3, 37), 16), gate, acc, ResidualParams(Scale(multipliers(37), 20), 3)),
        requantise16_of(uniform((2, 33), 16), Scale((2731,), 20)), snap_of(uniform((2, 5), 8), uniform((2, 5), 8, 1), 9)
    ], lanes, stall)


@pytest.mark.parametrize("group", [3, 16])
def test_groups_of_rows(play, group):
    check(play, layernorm_work(group) + softmax_work(group), 4, 0.2)


@pytest.mark.parametrize("name", WORK)
def test_a_beat_a_cycle_after_the_stated_latency(play, name):
    """40 rows of two beats, 32 of five for what is read twice: as many cycles as beats, and those of the pipeline."""
    work = {"requantise16": requantise16_of(uniform((40, 4), 16), Scale((2731,), 20)),
            "gelu": gelu_of(accumulators((40, 4)), GeluParams(Scale((99,) * 4, 21), Scale((2048,), 18))),
            "residual": residual_of(uniform((40, 4), 16), uniform((4,), 16), accumulators((40, 4)),
                                    ResidualParams(Scale((99,) * 4, 21), 3)),
            "normalise": normalise_of(accumulators((40, 4)), torch.full((40,), 500), Scale((99,) * 4, 13)),
            "snap": snap_of(uniform((40, 4), 8), uniform((40, 4), 8, 1), 9),
            "layernorm": layernorm_of(uniform((32, 10), 16), uniform((10,), 16), uniform((10,), 16),
                                      LayerNormParams(5, Scale((2731,), 19)), 16),
            "softmax": softmax_of(uniform((32, 10), 18), Scale((2900,), 12), 0, 16)}[name]
    dut, beats = unit(2), traffic([work], 2, random.Random(1))
    want = beats.pop("o")
    run = play(dut, beats, {"o": len(want)})
    out, x, command = run.moved["o"], run.moved["x"], run.moved["command"][0]
    # Two beats of x wait in front for the command; the last one then enters in the cycle behind its arrival.
    assert out[-1] - x[-1] == dut.latency
    assert out[-1] - command == len(x) + dut.latency - 1 + (8 if name == "normalise" else 0)


@pytest.mark.parametrize("lanes", [1, 8])
def test_a_second_reading_follows_as_early_as_stated(play, lanes):
    modulation = uniform((1,), 16)
    work = {Op.LAYERNORM: layernorm_of(uniform((4, 1), 16), modulation, modulation,
                                       LayerNormParams(5, Scale((2731,), 19))),
            Op.SOFTMAX: softmax_of(uniform((4, 1), 18), Scale((2900,), 12))}
    for op, operation in work.items():
        dut, beats = unit(lanes), traffic([operation], lanes, random.Random(1))
        out = play(dut, beats, {"o": len(beats.pop("o"))}).moved["o"]
        assert [b - a for a, b in zip(out, out[1:])] == [dut.second_latency[op] + 1] * 3


def test_the_next_command_is_taken_behind_the_last_result(play):
    work = [snap_of(uniform((5, 2), 8), uniform((5, 2), 8, 1), 9)] * 2
    dut, beats = unit(2), traffic(work, 2, random.Random(1))
    run = play(dut, beats, {"o": len(beats.pop("o"))})
    assert run.moved["command"][1] == run.moved["o"][4] + 1
