# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.recover.tables import RowTable, copy_cycles, gather, recover


def table(size, kept, copied):
    return RowTable(size, torch.tensor(kept), torch.tensor(copied, dtype=torch.int64).reshape(-1, 2))


def test_gather_and_recover_row_by_row():
    rows = torch.arange(15).reshape(5, 3)
    some = table(5, [4, 0, 2], [[1, 4], [3, 0]])
    condensed = gather(rows, some)
    assert condensed.tolist() == [rows[4].tolist(), rows[0].tolist(), rows[2].tolist()]
    expected = {4: 4, 0: 0, 2: 2, 1: 4, 3: 0}
    assert recover(condensed, some).tolist() == [rows[expected[i]].tolist() for i in range(5)]
    assert some.sources.tolist() == [expected[i] for i in range(5)]
    assert some.computed.tolist() == [True, False, True, False, True] and some.kept_share == 0.6


def test_product_of_recovered_rows_is_the_recovered_product():
    generator = torch.Generator().manual_seed(0)
    rows, right = (torch.randint(-128, 128, (5, 5), generator=generator) for _ in range(2))
    some = table(5, [1, 3], [[0, 1], [2, 1], [4, 3]])
    assert torch.equal(recover(gather(rows, some) @ right, some), recover(gather(rows, some), some) @ right)


def test_whole_table_and_one_row():
    rows = torch.arange(4).reshape(2, 2)
    assert torch.equal(recover(gather(rows, RowTable.whole(2)), RowTable.whole(2)), rows)
    assert copy_cycles(RowTable.whole(2), 3) == 0
    assert copy_cycles(table(3, [0], [[1, 0], [2, 0]]), words=4, latency=2) == 10


@pytest.mark.parametrize(
    ("kept", "copied", "message"),
    [([0, 1], [], "not rows 0..2"), ([0, 1], [[1, 0]], "not rows"), ([0], [[1, 2], [2, 0]], "row 2 is copied from")],
)
def test_broken_tables_are_refused(kept, copied, message):
    with pytest.raises(VidaError, match=message):
        table(3, kept, copied)


def test_wrong_length_is_refused():
    with pytest.raises(VidaError, match="matrix has 4 rows, the table needs 3"):
        gather(torch.zeros(4, 2), RowTable.whole(3))
    with pytest.raises(VidaError, match="condensed matrix has 2 rows"):
        recover(torch.zeros(2, 2), RowTable.whole(3))
