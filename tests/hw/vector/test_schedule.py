# SPDX-License-Identifier: Apache-2.0
"""The law of the vector unit's cycles against the unit, from one command to the next."""

import random

import pytest
import torch

from hw.config import load_config
from hw.vector.operations import Op
from hw.vector.unit import VectorUnit
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.scaling import Scale
from model.exact.vector.schedule import cycles
from verif.vector import layernorm_of, normalise_of, requantise16_of, softmax_of, traffic

#: (rows, cols, group): rows of one beat, rows that hide the wait for a second reading, a last group of one.
SHAPES = [(1, 1, 16), (20, 2, 16), (17, 7, 16), (5, 11, 3), (4, 2, 1), (33, 1, 16)]


def operation(op, rows, cols, group):
    x = torch.randint(-9000, 9000, (rows, cols), generator=torch.Generator().manual_seed(rows))
    if op is Op.LAYERNORM:
        return layernorm_of(x, x[0], x[0], LayerNormParams(5, Scale((2731,), 19)), group)
    if op is Op.SOFTMAX:
        return softmax_of(x, Scale((2900,), 12), 0, group)
    if op is Op.NORMALISE:
        return normalise_of(x, torch.full((rows,), 500), Scale((99,) * cols, 13))
    return requantise16_of(x, Scale((2731,), 20))


@pytest.mark.parametrize("lanes", [2, 4])
@pytest.mark.parametrize("op", [Op.LAYERNORM, Op.SOFTMAX, Op.NORMALISE, Op.REQUANTISE16])
def test_a_command_takes_the_cycles_that_the_law_says(play, op, lanes):
    work = [operation(op, *shape) for shape in SHAPES]
    beats = traffic([*work, work[0]], lanes, random.Random(1))
    dut = VectorUnit(load_config("tiny").replace(vector_lanes=lanes))
    taken = play(dut, beats, {"o": len(beats.pop("o"))}).moved["command"]
    assert [b - a for a, b in zip(taken, taken[1:])] == [
        cycles(op, rows, cols, lanes, group) for rows, cols, group in SHAPES]
