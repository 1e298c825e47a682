# SPDX-License-Identifier: Apache-2.0
"""The four tables over their whole input range, against float64, and their identity on every machine."""

import hashlib

import torch

from hw.vector import tables
from model.exact.vector.store import to_tensors
from model.exact.vector.tables import build_tables

TABLES = build_tables()


def test_tables_are_the_committed_integers():
    digest = hashlib.sha256()
    for name, tensor in sorted(to_tensors(TABLES, "tables").items()):
        digest.update(name.encode() + tensor.numpy().astype("<i8").tobytes())
    assert digest.hexdigest() == "fba719d29c1f6a6713c4ca0b8d590e549c7dae9bec0d3524974f9bbf9eb81ad1"


def test_building_twice_gives_the_same():
    build_tables.cache_clear()
    for name in ("exp2", "reciprocal", "rsqrt", "gelu"):
        getattr(tables, f"{name}_table").cache_clear()
    assert build_tables() == TABLES


def test_exp2_within_bound_everywhere():
    x = torch.arange(1 << 10)
    error = (TABLES.exp2(x) - 127 * 256 * torch.exp2(-x.double() / 1024)).abs().max()
    assert 0.70 < error <= 0.72


def test_exp2_of_zero_is_the_largest_probability():
    assert TABLES.exp2(torch.tensor(0)) == 127 << 8


def test_reciprocal_within_bound_everywhere():
    x = torch.arange(1 << 16)
    exact = 2**15 / (1 + x.double() / 2**16)
    assert 4.5e-5 < ((TABLES.reciprocal(x) - exact) / exact).abs().max() <= 4.7e-5


def test_rsqrt_within_bound_everywhere():
    x = torch.arange(1 << 16)
    m = (1 + (x % 2**15).double() / 2**15) * 2.0 ** (x // 2**15)
    exact = 2**15 / m.sqrt()
    assert 6.5e-5 < ((TABLES.rsqrt(x) - exact) / exact).abs().max() <= 6.7e-5


def test_outputs_fit_sixteen_bits_and_never_rise():
    for table in (TABLES.exp2, TABLES.reciprocal, TABLES.rsqrt):
        y = table(torch.arange(1 << table.input_bits))
        assert 0 < y.min() and y.max() < 1 << 16
        assert (y.diff() <= 1).all()


def test_gelu_difference_is_never_negative():
    assert TABLES.gelu(torch.arange(1 << 13)).min() == 0
