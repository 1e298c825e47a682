# SPDX-License-Identifier: Apache-2.0
import math
from fractions import Fraction

import torch

from model.exact.match.key_weights import key_offsets, log2_places
from model.exact.vector.scaling import Scale, rescale16


def test_logarithms_are_rounded_exactly():
    for count in range(1, 400):
        assert log2_places(count) == math.floor(1024 * math.log2(count) + 0.5)


def test_offsets_by_definition():
    counts = torch.tensor([[0, 1, 2], [3, 17, 288]])
    for scale in (Scale((2900,), 15), Scale((4095,), 9), Scale((1,), 0), Scale((2048,), 11)):
        found = key_offsets(counts, scale).tolist()
        for row, results in zip(counts.tolist(), found):
            for count, result in zip(row, results):
                places = math.floor(1024 * math.log2(max(count, 1)) + 0.5)
                assert result == math.floor(Fraction(places << scale.shift, scale.multipliers[0]) + Fraction(1, 2))


def test_a_key_for_two_has_twice_the_weight():
    scale = Scale((3000,), 14)
    scores = torch.tensor([[1000, 1000, -5000]])
    z = rescale16(scores + key_offsets(torch.tensor([2, 1, 0]), scale), scale)
    assert z[0, 0] - z[0, 1] == 1024
