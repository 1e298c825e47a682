# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from model.exact.machine.matrix import Matrix, row_addresses


@pytest.mark.parametrize("ccpes", [1, 2, 4, 8])
def test_places_are_those_of_the_instruction_sets_page(ccpes):
    for width, base, pitch in ((1, 3, 5), (2, 0, 20), (4, 7, 41)):
        got = Matrix(base, pitch, width, ccpes).addresses(np.arange(9), np.arange(8 * ccpes))
        for m in range(9):
            for n in range(8 * ccpes):
                (i, r), (j, rest) = divmod(m, 4), divmod(n, 4 * ccpes)
                c, q = divmod(rest, 4)
                line, byte = {1: (0, 16 * c + 4 * r + q), 2: (r // 2, 16 * c + 8 * (r % 2) + 2 * q),
                              4: (r, 16 * c + 4 * q)}[width]
                assert got[m, n] == (base + i * pitch + j * width + line) * 16 * ccpes + byte
    row = row_addresses(2, 8 * ccpes, ccpes)
    assert (row == Matrix(2, 0, 4, ccpes).addresses(np.arange(1), np.arange(8 * ccpes))[0]).sum() == 4 * ccpes
    assert row[4 * ccpes] == 3 * 16 * ccpes


def test_lines_of_a_matrix_are_those_its_padded_tiles_occupy():
    assert Matrix(10, 7, 2, 2).lines(5, 9).tolist() == [10, 11, 12, 13, 17, 18, 19, 20]
