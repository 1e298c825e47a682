# SPDX-License-Identifier: Apache-2.0
import torch
from torch.nn.functional import gelu as float_gelu

from model.exact.vector.gelu import GeluParams, gelu, gelu16
from model.exact.vector.scaling import rescale16
from model.exact.vector.tables import build_tables

TABLE = build_tables().gelu


def test_within_bound_for_every_input():
    h = torch.arange(-32768, 32768)
    exact = float_gelu(h.double() / 2048, approximate="tanh") * 2048
    error = (gelu16(h, TABLE) - exact).abs().max()
    assert 0.85 < error <= 0.9


def test_straight_parts_are_exact():
    h = torch.tensor([-32768, -8192, 0, 8192, 32767])
    assert gelu16(h, TABLE).tolist() == [0, 0, 0, 8192, 32767]


def test_output_fits_sixteen_bits():
    y = gelu16(torch.arange(-32768, 32768), TABLE)
    assert y.min() == -348 and y.max() == 32767


def test_from_accumulators_within_bound():
    acc = torch.randint(-(1 << 18), 1 << 18, (4000, 6), generator=torch.Generator().manual_seed(0))
    places = [2.0**-15, 2.1e-5, 3.3e-5, 1e-6, 4.9e-5, 5e-7]
    params = GeluParams.from_real(places, 8 / 127)
    x = (acc.double() * torch.tensor(places, dtype=torch.float64)).clamp(-16, 16 - 2**-11)
    exact = float_gelu(x, approximate="tanh")
    # The columns share a shift: half a multiplier's place is the absolute error of each column's scale.
    relative = 0.5 / params.hidden.multiplier
    fine = gelu16(rescale16(acc, params.hidden), TABLE) / 2048
    assert ((fine - exact).abs() <= 1.5 / 2048 + 1.13 * relative * x.abs()).all()
    out = gelu(acc, params, TABLE)
    bound = 0.5 + (1.5 / 2048 + 1.13 * relative * x.abs() + exact.abs() / 4096) * 127 / 8
    assert ((out - (exact * 127 / 8).clamp(-128, 127)).abs() <= bound).all()


def test_wide_accumulators_saturate():
    params = GeluParams.from_real([1.0], 0.1)
    assert gelu(torch.tensor([[(1 << 27) - 1], [-(1 << 27)]]), params, TABLE).tolist() == [[127], [0]]
