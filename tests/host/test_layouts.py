# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from host.layouts import matrix_bytes, matrix_from, matrix_lines, row_bytes


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("ccpes", [1, 2, 8])
def test_a_matrix_comes_back_from_its_bytes(width, ccpes):
    limit = 1 << 8 * width - 1
    values = torch.randint(-limit, limit, (10, 19), generator=torch.Generator().manual_seed(1))
    data = matrix_bytes(values, width, ccpes)
    assert len(data) == matrix_lines(10, 19, width, ccpes) * 16 * ccpes
    assert (matrix_from(data, 10, 19, width, ccpes) == values.numpy()).all()


def test_bytes_of_one_block():
    values = torch.arange(16).reshape(4, 4)
    assert matrix_bytes(values, 1, 1) == bytes(range(16))
    assert row_bytes(torch.tensor([1, -1]), 1) == bytes([1, 0, 0, 0, 255, 255, 255, 255]) + bytes(8)
