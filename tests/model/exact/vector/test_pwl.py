# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from hw.numerics import round_shift
from model.exact.vector.pwl import PwlTable
from model.exact.vector.tables import build_tables

FLAT = (0,) * 64


@pytest.mark.parametrize("name", ["exp2", "reciprocal", "rsqrt", "gelu"])
def test_equals_scalar_arithmetic_within_the_stated_widths(name):
    table = getattr(build_tables(), name)
    x = torch.arange(0, 1 << table.input_bits, 7)
    for point, y in zip(x.tolist(), table(x).tolist(), strict=True):
        row, remainder = divmod(point, 1 << table.remainder_bits)
        product = table.slopes[row] * remainder
        total = table.bases[row] + product
        assert -(1 << 22) <= product < 1 << 22 and -(1 << 29) <= total < 1 << 29
        assert y == round_shift(total, table.shift)


def test_any_shape():
    table = build_tables().exp2
    x = torch.arange(24).reshape(2, 3, 4)
    assert torch.equal(table(x), table(x.flatten()).reshape(2, 3, 4))


@pytest.mark.parametrize(("arguments", "message"), [
    ((FLAT[1:], FLAT, 10, 6), "63 bases, 64 slopes; 64 of each"),
    ((FLAT, FLAT, 17, 6), "input 17 bits, 6..16"),
    ((FLAT, FLAT, 5, 6), "input 5 bits, 6..16"),
    ((FLAT, FLAT, 10, 13), "shift 13, 1..12"),
    ((FLAT[1:] + (-1,), FLAT, 10, 6), "base -1, unsigned 28 bits"),
    ((FLAT, FLAT[1:] + (4096,), 10, 6), "slope 4096, signed 13 bits"),
])
def test_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(VidaError, match=message):
        PwlTable(*arguments)
