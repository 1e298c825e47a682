# SPDX-License-Identifier: Apache-2.0
import torch

from hw.numerics import round_shift
from model.exact.vector.bits import leading_one, round_shift_each


def test_leading_one_at_every_edge():
    values = [v for k in range(1, 63) for v in ((1 << k) - 1, 1 << k, (1 << k) + 1)]
    assert leading_one(torch.tensor(values)).tolist() == [v.bit_length() - 1 for v in values]


def test_round_shift_each_is_round_shift():
    x = torch.arange(-300, 300)
    for shift in (1, 2, 5, 40):
        assert torch.equal(round_shift_each(x, torch.full_like(x, shift)), round_shift(x, shift))
