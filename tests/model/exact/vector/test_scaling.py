# SPDX-License-Identifier: Apache-2.0
import math
from fractions import Fraction

import pytest
import torch

from hw.errors import VidaError
from model.exact.vector.scaling import (
    Scale,
    requantise8,
    rescale16,
    scale_to_multiplier,
    scales_to_multipliers,
)


def test_multiplier_is_normalised_and_within_bound():
    for step in range(2000):
        scale = math.ldexp(1 + step / 2000, step % 38 - 27)
        multiplier, shift = scale_to_multiplier(scale)
        assert 1 << 11 <= multiplier < 1 << 12
        assert abs(Fraction(multiplier, 1 << shift) / Fraction(scale) - 1) <= Fraction(1, 1 << 12)


def test_rounding_up_to_the_next_octave():
    assert scale_to_multiplier(4095.6 / 4096) == (2048, 11)
    assert scale_to_multiplier(1.0) == (2048, 11)
    assert scale_to_multiplier(4095.0) == (4095, 0)


def test_columns_share_the_shift_of_the_largest():
    assert scales_to_multipliers([0.5, 0.25, 0.001, 0.0]) == ((2048, 1024, 4, 0), 12)


def test_tiny_scales_lose_bits_instead_of_a_longer_shift():
    assert scale_to_multiplier(math.ldexp(1, -35)) == (16, 39)


@pytest.mark.parametrize("scales", [[-1.0], [math.nan], [math.inf], [0.0], [4096.0], [4095.9]])
def test_refuses_impossible_scales(scales):
    with pytest.raises(VidaError):
        scales_to_multipliers(scales)


@pytest.mark.parametrize("arguments", [((), 3), ((4096,), 3), ((-1,), 3), ((1,), 40), ((1,), -1)])
def test_scale_refuses_what_does_not_fit(arguments):
    with pytest.raises(VidaError):
        Scale(*arguments)


def test_rescale16_within_half_a_place_and_saturates():
    generator = torch.Generator().manual_seed(1)
    acc = torch.randint(-(1 << 27), 1 << 27, (4096, 3), generator=generator)
    scale = Scale.from_real([2**-13.5, 2**-12.3, 2**-15.9])
    exact = (acc.double() * scale.multiplier.double() / 2**scale.shift).clamp(-32768, 32767)
    assert (rescale16(acc, scale) - exact).abs().max() <= 0.5


def test_requantise8_rounds_half_up():
    x = torch.tensor([-5, -3, 3, 5, 600, -600])
    assert requantise8(x, Scale((1,), 1)).tolist() == [-2, -1, 2, 3, 127, -128]
