# SPDX-License-Identifier: Apache-2.0
"""Softmax and its normalisation: bounds against float64, and a scalar twin that holds every stated width."""

import math

import pytest
import torch

from hw.errors import VidaError
from hw.numerics import round_shift, saturate
from model.exact.vector.scaling import Scale
from model.exact.vector.softmax import mean, normalise, softmax
from model.exact.vector.tables import build_tables

TABLES = build_tables()
UNIT = Scale((1,), 0)


def scores(rows, n, nats, seed=0):
    """Accumulators and the real value of a place, such that the scores' standard deviation is `nats`."""
    generator = torch.Generator().manual_seed(seed)
    acc = (torch.randn(rows, n, generator=generator) * (1 << 20)).long().clamp(-(1 << 27), (1 << 27) - 1)
    return acc, nats / (1 << 20)


def test_probability_within_bound_for_every_distance():
    z = torch.stack([torch.full((1 << 16,), 32767), 32767 - torch.arange(1 << 16)], dim=-1)
    p, row_sum = softmax(z, UNIT, TABLES.exp2)
    exact = 127 * torch.exp2(-torch.arange(1 << 16).double() / 1024)
    assert (p[:, 0] == 127).all() and torch.equal(p.sum(-1), row_sum)
    assert 0.49 < (p[:, 1] - exact).abs().max() <= 0.503


@pytest.mark.parametrize("nats", [0.01, 0.5, 1.0, 2.0, 4.0])
def test_probability_within_bound_from_the_accumulator(nats):
    acc, place = scores(512, 96, nats)
    p, row_sum = softmax(acc, Scale.from_real(place * math.log2(math.e) * 1024), TABLES.exp2)
    real = acc.double() * place
    exact = torch.exp(real - real.amax(-1, keepdim=True))
    assert (p - 127 * exact).abs().max() <= 0.61
    # The whole row: half the sum of |p / sum - softmax| follows from the bound on one probability.
    distance = (p.double() / row_sum.unsqueeze(-1) - torch.softmax(real, -1)).abs().sum(-1) / 2
    assert (distance <= 0.61 * 96 / row_sum).all()


def test_worst_multiplier_stays_within_bound():
    place = 2049.5 / 2**12 / (math.log2(math.e) * 1024)
    acc = torch.stack([torch.zeros(1 << 15, dtype=torch.int64), -torch.arange(1 << 15)], dim=-1)
    p, _ = softmax(acc, Scale.from_real(place * math.log2(math.e) * 1024), TABLES.exp2)
    assert (p[:, 1] - 127 * torch.exp(acc[:, 1].double() * place)).abs().max() <= 0.61


def test_saturated_scores_and_single_token():
    acc = torch.tensor([[(1 << 27) - 1, -(1 << 27), (1 << 27) - 1]])
    p, row_sum = softmax(acc, UNIT, TABLES.exp2)
    assert p.tolist() == [[127, 0, 127]] and row_sum.tolist() == [254]
    p, row_sum = softmax(acc[:, 1:2], UNIT, TABLES.exp2)
    assert p.tolist() == [[127]] and row_sum.tolist() == [127]


def test_longest_row_fits_its_sum():
    _, row_sum = softmax(torch.zeros(1, 8192, dtype=torch.int64), UNIT, TABLES.exp2)
    assert row_sum.item() == 8192 * 127 < 1 << 20
    with pytest.raises(VidaError, match="8193 tokens, at most 8192"):
        softmax(torch.zeros(1, 8193, dtype=torch.int64), UNIT, TABLES.exp2)


def test_mean_within_bound_for_every_row_sum():
    row_sum = torch.arange(1, 1 << 20)
    generator = torch.Generator().manual_seed(2)
    real = torch.rand(row_sum.shape[0], 1, generator=generator, dtype=torch.float64) * 255.9 - 128
    for factor in (real, 127, -128):
        acc = (row_sum.unsqueeze(-1) * factor).long()
        exact = 256 * acc.double() / row_sum.unsqueeze(-1)
        error = (mean(acc, row_sum, TABLES.reciprocal) - exact).abs()
        assert (error <= 0.5 + 6e-5 * exact.abs()).all()
        assert error.max() <= 2.5


def scalar_mean(acc, row_sum):
    """The mean of V by Python integers, each value held to the width that the law states."""
    lead = row_sum.bit_length() - 1
    fraction = (row_sum << 19 - lead) - (1 << 19) >> 3
    assert 0 <= fraction < 1 << 16
    r = TABLES.reciprocal(torch.tensor(fraction)).item()
    assert 0 < r < 1 << 16 and -(1 << 43) <= acc * r < 1 << 43
    return saturate(round_shift(acc * r, lead + 7), 16)


def test_normalise_equals_its_scalar_twin():
    generator = torch.Generator().manual_seed(3)
    n = torch.randint(1, 8193, (400,), generator=generator)
    row_sum = (n * 127 * torch.rand(400, generator=generator)).long().clamp(min=127)
    acc = (row_sum.unsqueeze(-1) * (torch.rand(400, 3, generator=generator) * 256 - 128)).long()
    row_sum[0], acc[0] = 8192 * 127, torch.tensor([-(1 << 27), (1 << 27) - 1, 0])
    row_sum[1], acc[1] = 127, torch.tensor([-(1 << 27), (1 << 27) - 1, 0])
    scale = Scale((2048, 3000, 4095), 18)
    out = normalise(acc, row_sum, scale, TABLES.reciprocal)
    for i in range(400):
        for j in range(3):
            quotient = scalar_mean(acc[i, j].item(), row_sum[i].item())
            assert out[i, j].item() == saturate(round_shift(quotient * scale.multipliers[j], scale.shift), 8)


def test_attention_row_within_bound_end_to_end():
    acc, place = scores(256, 64, 1.0, seed=5)
    v = torch.randint(-127, 128, (64, 48), generator=torch.Generator().manual_seed(6))
    p, row_sum = softmax(acc, Scale.from_real(place * math.log2(math.e) * 1024), TABLES.exp2)
    out = normalise(p @ v, row_sum, Scale.from_real(1 / 256), TABLES.reciprocal)
    exact = torch.softmax(acc.double() * place, -1) @ v.double()
    assert (out - exact).abs().max() <= 2.0
