# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.vector.residual import ResidualParams, residual
from model.exact.vector.scaling import Scale

PLACE = 2.0**-9


@pytest.mark.parametrize("absmax", [0.3, 5.0, 60.0])
def test_within_bound(absmax):
    generator = torch.Generator().manual_seed(0)
    places = [absmax / 2**20, absmax / 2**21, absmax / 3e6, absmax / 2**20]
    acc = torch.randint(-(1 << 20), 1 << 20, (4000, 4), generator=generator)
    x = torch.randint(-32768, 32768, (4000, 4), generator=generator)
    gate = torch.randint(-32768, 32768, (4,), generator=generator)
    params = ResidualParams.from_real(places, PLACE, absmax)
    branch = acc.double() * torch.tensor(places, dtype=torch.float64) / PLACE
    exact = (x + branch * gate / 4096).clamp(-32768, 32767)
    relative = 0.5 / params.branch.multiplier
    bound = 0.5 + (gate / 4096).abs() * (0.5 / 2**params.fraction + relative * branch.abs())
    assert ((residual(x, gate, acc, params) - exact).abs() <= bound).all()


@pytest.mark.parametrize(("absmax", "fraction"), [(0.1, 8), (1.0, 5), (32767 * PLACE, 0), (16383 * PLACE, 1)])
def test_fraction_is_the_finest_that_fits(absmax, fraction):
    assert ResidualParams.from_real([1e-6], PLACE, absmax).fraction == fraction


def test_saturates_on_both_sides():
    params = ResidualParams(Scale((2048,), 11), 0)
    x, gate = torch.tensor([32767, -32768]), torch.tensor([-32768, -32768])
    acc = torch.tensor([-(1 << 27), (1 << 27) - 1])
    assert residual(x, gate, acc, params).tolist() == [32767, -32768]


def test_zero_gate_passes_the_stream():
    x = torch.arange(-32768, 32768).unsqueeze(-1)
    params = ResidualParams(Scale((4095,), 20), 3)
    assert torch.equal(residual(x, torch.tensor([0]), 1000 * x, params), x)


def test_refuses_a_fraction_that_does_not_fit():
    with pytest.raises(VidaError, match="fraction 9, 0..8"):
        ResidualParams(Scale((1,), 0), 9)
