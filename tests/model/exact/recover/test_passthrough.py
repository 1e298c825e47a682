# SPDX-License-Identifier: Apache-2.0
"""The laws of a difference that is handed on, against Python's integers and fractions, element by element."""

import math
from fractions import Fraction

import pytest
import torch

from model.exact.recover.passthrough import accumulate, pass_remainder, pass_rounded, remainder_of
from model.exact.vector.scaling import Scale, requantise8

SCALES = [Scale((2903, 1, 4095), 19), Scale((1234, 77, 3000), 12), Scale((3, 2, 1), 5), Scale((1, 1, 1), 0)]
CORNERS = [0, 1, -1, 90, -90, 91, 4095, -4096, 30000, -30001, (1 << 27) - 1, -(1 << 27)]


def clamp(x):
    return max(-128, min(127, x))


def nearest(x):
    return math.floor(x + Fraction(1, 2))


def in_places(acc, multiplier, shift):
    return Fraction(acc * multiplier, 1 << shift)


@pytest.fixture(params=SCALES, ids=lambda scale: f"shift-{scale.shift}")
def operands(request, integers):
    """Accumulators (rows, 3) of every size, remainders (rows, 3) and a scale."""
    rows = [[x, x, x] for x in CORNERS] + integers(40, 3, low=-5000, high=5000).tolist()
    return torch.tensor(rows), integers(len(rows), 3, seed=1), request.param


def test_rounded_by_definition(operands):
    acc, _, scale = operands
    found = pass_rounded(acc, scale)
    for row, results in zip(acc.tolist(), found.tolist()):
        for x, multiplier, result in zip(row, scale.multipliers, results):
            assert result == clamp(nearest(in_places(x, multiplier, scale.shift)))


def test_remainder_by_definition(operands):
    acc, before, scale = operands
    difference, after = pass_remainder(acc, before, scale)
    for row in range(len(acc)):
        for column, multiplier in enumerate(scale.multipliers):
            x = in_places(acc[row, column].item(), multiplier, scale.shift)
            fine = nearest(256 * x) + before[row, column].item()
            whole = clamp(nearest(Fraction(fine, 256)))
            assert difference[row, column] == whole
            assert after[row, column] == clamp(fine - 256 * whole)


def test_a_chain_begins_with_what_a_whole_product_rounds_away(operands):
    acc, _, scale = operands
    found = remainder_of(acc, scale)
    for row, results in zip(acc.tolist(), found.tolist()):
        for x, multiplier, result in zip(row, scale.multipliers, results):
            value = in_places(x, multiplier, scale.shift)
            assert result == clamp(nearest(256 * value) - 256 * clamp(nearest(value)))


def test_operand_by_definition(integers):
    before, difference = integers(50), integers(50, seed=1)
    expected = [clamp(x + y) for x, y in zip(before.tolist(), difference.tolist())]
    assert accumulate(before, difference).tolist() == expected


def chains(captured, steps):
    """Accumulators of Q, K and V at consecutive timesteps, and their scale: half of the differences are below half
    a place."""
    sums = [job.result for job in captured("qkv", steps=tuple(range(25, 25 + steps)))]
    return sums, Scale((2048,), 11 + int(sums[0].abs().max()).bit_length() - 6)


def test_remainders_keep_the_operand_within_a_place_on_captured_sums(captured):
    sums, scale = chains(captured, 8)
    operand, remainder = requantise8(sums[0], scale), remainder_of(sums[0], scale)
    rounded = operand
    for before, after in zip(sums, sums[1:]):
        difference, remainder = pass_remainder(after - before, remainder, scale)
        operand = accumulate(operand, difference)
        rounded = accumulate(rounded, pass_rounded(after - before, scale))
    exact = requantise8(sums[-1], scale)
    assert (operand - exact).abs().max() <= 1 and (operand != exact).float().mean() < 0.02
    assert (rounded != exact).float().mean() > 0.2


def test_small_differences_are_lost_without_a_remainder_and_kept_with_one():
    scale, acc = Scale((1,), 4), torch.tensor([7])
    lost, kept, remainder = torch.tensor([0]), torch.tensor([0]), torch.tensor([0])
    for _ in range(16):
        lost = accumulate(lost, pass_rounded(acc, scale))
        difference, remainder = pass_remainder(acc, remainder, scale)
        kept = accumulate(kept, difference)
    assert lost.item() == 0 and kept.item() == 7
