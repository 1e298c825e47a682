# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.sparsity.columns import ColumnRule, snap_columns


@pytest.mark.parametrize("rule", list(ColumnRule))
@pytest.mark.parametrize("permille", [0, 125, 250, 499, 1000])
def test_columns_by_definition(permille, rule):
    generator = torch.Generator().manual_seed(permille)
    reference = torch.randint(-128, 128, (2, 8, 30), generator=generator)
    x = reference + torch.randint(-3, 4, reference.shape, generator=generator) * (
        torch.rand(2, 1, 30, generator=generator) > 0.3)
    expected = x.tolist()
    for a in range(2):
        for k in range(30):
            differences = [int(x[a, m, k]) - int(reference[a, m, k]) for m in range(8)]
            changed = sum(d != 0 if rule is ColumnRule.COUNT else abs(d) for d in differences)
            if changed / 8 <= permille / 1000:
                for m in range(8):
                    expected[a][m][k] = int(reference[a, m, k])
    assert snap_columns(x, reference, permille, rule).tolist() == expected


def test_threshold_out_of_range_is_refused():
    x = torch.zeros(1, 2, 2)
    with pytest.raises(VidaError, match="column threshold 1001"):
        snap_columns(x, x, 1001)
