# SPDX-License-Identifier: Apache-2.0
"""The definition of a job's result against its digits, wrapped accumulators among them."""

import pytest
import torch

from model.exact.compute.peg import matmul, matmul_by_digits
from verif.jobs import KINDS, panel_of


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [18, 28])
def test_digit_by_digit_is_the_product(kind, bits):
    generator = torch.Generator().manual_seed(5)
    current, reference = panel_of(kind, 50, generator)
    right = torch.randint(-128, 128, (50, 12), generator=generator)
    init = torch.randint(-(1 << bits - 1), 1 << bits - 1, (4, 12), generator=generator)
    result = matmul(current, reference, right, init, bits)
    assert torch.equal(result, matmul_by_digits(current, reference, right, init, bits))
    exact = init + (current - reference) @ right
    assert torch.equal((result - exact) % (1 << bits), torch.zeros_like(exact))
    assert result.abs().max() <= 1 << bits - 1


def test_without_a_reference_the_operand_itself():
    current, right = torch.tensor([[-128, 127]]), torch.tensor([[-128], [127]])
    assert matmul(current, None, right, 0, 28).tolist() == [[128 * 128 + 127 * 127]]
    assert torch.equal(matmul_by_digits(current, None, right, 0, 28), matmul(current, None, right, 0, 28))
