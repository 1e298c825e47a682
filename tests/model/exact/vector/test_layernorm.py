# SPDX-License-Identifier: Apache-2.0
"""LayerNorm with modulation against float64 over widths, amplitudes and corners, and a scalar twin."""

import math

import pytest
import torch
from torch.nn.functional import layer_norm

from hw.errors import VidaError
from hw.numerics import round_shift, saturate
from model.exact.vector.layernorm import WIDTH_MAX, LayerNormParams, layernorm, modulated, normalised
from model.exact.vector.scaling import Scale
from model.exact.vector.tables import build_tables

RSQRT = build_tables().rsqrt
PLACE = 2.0**-10


def rows(width, amplitude, seed=0):
    """Random int16 rows, some far from zero, some constant, some with a single outlier."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-amplitude, amplitude + 1, (160, width), generator=generator)
    x[:20] += 20000
    x[20:25] = 7
    x[25:30, 0] = 32767
    x[30:35, -1] = -32768
    x[35] = 32767
    x[36] = -32768
    x[37] = 32767 - 65535 * (torch.arange(width) % 2)
    return x.clamp(-32768, 32767)


def exact_norm(x, epsilon):
    width = x.shape[-1]
    return layer_norm(x.double(), (width,), eps=epsilon / width**2)


@pytest.mark.parametrize("width", [1, 2, 32, 96, 384, 1152, 4096])
@pytest.mark.parametrize("amplitude", [1, 3, 50, 1000, 32767])
def test_normalised_within_bound(width, amplitude):
    x = rows(width, amplitude)
    epsilon = LayerNormParams.from_real(1e-6, PLACE, width, 0.05).epsilon
    exact = (exact_norm(x, epsilon) * 1024).clamp(-32768, 32767)
    error = (normalised(x, epsilon, RSQRT) - exact).abs()
    assert (error <= 0.5 + 8.2e-5 * exact.abs()).all()


def test_every_mantissa_of_the_variance_within_bound():
    # Two channels +-a: the variance is a^2, so that a sweeps the mantissa over all the octaves of int16.
    a = torch.arange(1, 32768)
    x = torch.stack([a, -a], dim=-1)
    exact = exact_norm(x, 1) * 1024
    assert ((normalised(x, 1, RSQRT) - exact).abs() <= 0.5 + 8.2e-5 * 1024).all()


def test_equals_its_scalar_twin_within_the_stated_widths():
    for width, amplitude in ((3, 32767), (96, 300), (WIDTH_MAX, 32767)):
        x = rows(width, amplitude)[::9]
        x[0] = torch.where(torch.arange(width) < width / 2, 32767, -32768)
        out = normalised(x, 5, RSQRT)
        for row, got in zip(x.tolist(), out.tolist(), strict=True):
            total, squares = sum(row), sum(v * v for v in row)
            variance = width * squares - total * total + 5
            assert -(1 << 27) <= total < 1 << 27 and squares < 1 << 43 and 0 < variance < 1 << 55
            exponent, parity = divmod(variance.bit_length() - 1, 2)
            fraction = (variance << 15 >> variance.bit_length() - 1) & 0x7FFF
            r = RSQRT(torch.tensor(parity << 15 | fraction)).item()
            for value, y in list(zip(row, got, strict=True))[:8]:
                centred = width * value - total
                assert -(1 << 28) <= centred < 1 << 28 and 0 < r < 1 << 16
                assert y == saturate(round_shift(centred * r, exponent + 5), 16)


@pytest.mark.parametrize("width", [96, 1152])
def test_modulation_and_int8_within_bound(width):
    generator = torch.Generator().manual_seed(4)
    x = rows(width, 3000)
    scale, shift = (torch.randint(-32768, 32768, (width,), generator=generator) for _ in range(2))
    params = LayerNormParams.from_real(1e-6, PLACE, width, 0.1)
    x_hat = exact_norm(x, params.epsilon).clamp(-32, 32 - PLACE)
    gain = 1 + scale / 4096
    exact = (x_hat * gain + shift / 4096).clamp(-32, 32 - PLACE)
    bound = 0.5 + gain.abs() * (0.5 + 8.2e-5 * 1024 * x_hat.abs())
    assert ((modulated(x, scale, shift, params, RSQRT) - exact * 1024).abs() <= bound).all()
    out = layernorm(x, scale, shift, params, RSQRT)
    bound = 0.5 + (bound / 1024 + exact.abs() / 4096) * 10
    assert ((out - (exact * 10).clamp(-128, 127)).abs() <= bound).all()


def test_modulation_extremes_fit_thirty_two_bits():
    largest = 32768 * (4096 + 32767) + (32768 << 10)
    assert largest < 1 << 31


def test_constant_rows_give_the_shift():
    x = torch.full((2, 64), 123)
    params = LayerNormParams(1, Scale((2048,), 15))
    y = modulated(x, torch.zeros(64, dtype=torch.int64), torch.full((64,), 4096), params, RSQRT)
    assert (y == 1024).all()


def test_refuses_rows_and_epsilons_that_do_not_fit():
    with pytest.raises(VidaError, match="4097 channels, at most 4096"):
        normalised(torch.zeros(1, 4097, dtype=torch.int64), 1, RSQRT)
    with pytest.raises(VidaError, match="epsilon 0"):
        LayerNormParams(0, Scale((1,), 0))


def test_epsilon_is_in_units_of_the_square_of_scale_over_width():
    params = LayerNormParams.from_real(1e-6, PLACE, 96, 0.1)
    assert params.epsilon == math.floor(1e-6 * 96**2 / PLACE**2 + 0.5)
