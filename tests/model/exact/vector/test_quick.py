# SPDX-License-Identifier: Apache-2.0
"""The step's quick forms equal the laws, over whole input ranges where one value decides and on corners elsewhere."""

import pytest
import torch

from hw.errors import VidaError
from model.exact.vector import gelu, layernorm, quick, residual, scaling, softmax
from model.exact.vector.gelu import GeluParams
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.exact.vector.scaling import Scale
from model.exact.vector.tables import build_tables

TABLES = build_tables()
SCALES = [Scale((1,), 0), Scale((4095,), 0), Scale((4095,), 39), Scale((2049,), 20), Scale((3001,), 27)]


def sums(*shape, bits=28, seed=0):
    """Accumulators of all magnitudes up to `bits`, the extremes among them."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.randint(-(1 << bits - 1), 1 << bits - 1, shape, generator=generator)
    found = wide >> torch.randint(0, bits, shape, generator=generator)
    found.view(-1)[:4] = torch.tensor([-(1 << bits - 1), (1 << bits - 1) - 1, 0, -1])
    return found


def same(found, law):
    assert found.dtype == torch.int32
    return torch.equal(found.long(), law)


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
@pytest.mark.parametrize("scale", SCALES)
def test_requantise(scale, kind):
    acc = sums(64, 96)
    assert same(quick.requantise8(acc.to(kind), scale), scaling.requantise8(acc, scale))
    halves = torch.arange(-(1 << 16), 1 << 16)                     # every half way between two places
    for shift in (1, 9, 15):
        assert same(quick.requantise8(halves.to(kind), Scale((1,), shift)),
                    scaling.requantise8(halves, Scale((1,), shift)))


@pytest.mark.parametrize("scale", SCALES)
def test_gelu(scale):
    acc, columns = sums(512, 3), Scale((4095, 1, 2000), 12)
    for params in (GeluParams(scale, Scale((2048,), 14)), GeluParams(columns, scale)):
        assert same(quick.gelu(acc.int(), params, TABLES.gelu), gelu.gelu(acc, params, TABLES.gelu))
    every = torch.arange(-(1 << 15), 1 << 15)
    params = GeluParams(Scale((1,), 0), Scale((3333,), 16))
    assert same(quick.gelu(every.int(), params, TABLES.gelu), gelu.gelu(every, params, TABLES.gelu))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("tokens", [1, 8, 300])
def test_softmax_and_its_normalisation(scale, tokens):
    acc = sums(32, tokens, seed=tokens)
    law, law_sum = softmax.softmax(acc, scale, TABLES.exp2)
    found, row_sum = quick.softmax(acc.int(), scale, TABLES.exp2)
    assert same(found, law) and torch.equal(row_sum, law_sum)
    values = sums(32, 24, seed=tokens + 1)
    assert same(quick.normalise(values.int(), row_sum, scale, TABLES.reciprocal),
                softmax.normalise(values, law_sum, scale, TABLES.reciprocal))


def test_every_row_sum():
    row_sum = torch.arange(1, 1 << 20)
    for factor in (127, -128, 101):
        acc = row_sum.unsqueeze(-1) * factor
        assert same(quick.normalise(acc.int(), row_sum, Scale((2048,), 19), TABLES.reciprocal),
                    softmax.normalise(acc, row_sum, Scale((2048,), 19), TABLES.reciprocal))


@pytest.mark.parametrize("width", [8, 96, 4096])
@pytest.mark.parametrize("epsilon", [1, 1000, (1 << 54) - 1])
def test_layernorm(width, epsilon):
    x = sums(24, width, bits=16, seed=width)
    x[0], x[1], x[2, ::2], x[2, 1::2] = 7, -32768, -32768, 32767   # no variance, and the most there is
    scale, shift = sums(width, bits=16, seed=1), sums(width, bits=16, seed=2)
    for output in (Scale((2048,), 17), Scale((4095,), 12)):
        params = LayerNormParams(epsilon, output)
        assert same(quick.layernorm(x.int(), scale, shift, params, TABLES.rsqrt),
                    layernorm.layernorm(x, scale, shift, params, TABLES.rsqrt))


@pytest.mark.parametrize("fraction", [0, 5, 8])
@pytest.mark.parametrize("scale", SCALES)
def test_residual(scale, fraction):
    x, gate, acc = sums(64, 96, bits=16), sums(96, bits=16, seed=3), sums(64, 96, seed=4)
    params = ResidualParams(scale, fraction)
    assert same(quick.residual(x.int(), gate, acc.int(), params), residual.residual(x, gate, acc, params))


def test_what_the_laws_refuse_is_refused():
    with pytest.raises(VidaError, match="8193 tokens"):
        quick.softmax(torch.zeros(1, 8193, dtype=torch.int32), SCALES[0], TABLES.exp2)
    wide, row = torch.zeros(1, 4097, dtype=torch.int32), torch.zeros(4097, dtype=torch.int64)
    with pytest.raises(VidaError, match="4097 channels"):
        quick.layernorm(wide, row, row, LayerNormParams(1, SCALES[0]), TABLES.rsqrt)
