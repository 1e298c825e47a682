# SPDX-License-Identifier: Apache-2.0
"""Row walker at the end of the buffer and of a bank; what it gives inside is held by `test_engine`."""

import pytest

from hw.config import load_config
from hw.vector.rows import RowWalker

NARROW, WIDE = 1, 4


@pytest.mark.parametrize("walk, given, line", [
    ({"address": 254, "width": NARROW, "pitch": 1, "rows": 12}, 8, 256),
    ({"address": 250, "width": WIDE, "pitch": 3, "rows": 12, "cols": 3}, 7, 256),
    ({"address": 255, "width": NARROW, "cols": 9}, 1, 256),
    ({"address": 3, "width": NARROW, "pitch": 65535, "rows": 5}, 4, 3 + 65535),
    ({"address": 0, "rows": 3, "mapped": 1, "inner": 1, "outer_stride": 65535, "width": NARROW}, 2, 0),
    ({"address": 255, "same": 1, "width": NARROW, "cols": 16, "rows": 3}, 1, 256),
    ({"address": 62, "width": WIDE, "pitch": 5, "transposed": 1}, 0, 62),
    ({"address": 56, "width": WIDE, "pitch": 5, "transposed": 1}, 3, 59)])
def test_a_slice_outside_is_not_given_and_said(walk, given, line, until_outside):
    """Four banks of 64 lines, two words a line; rows of one slice where nothing else is said."""
    dut = RowWalker(load_config("tiny").replace(buffer_lines=64))
    rest = {"pitch": 0, "rows": 1, "cols": 8, "mapped": 0, "inner": 1, "inner_stride": 0, "outer_stride": 0,
            "twice": 0, "same": 0, "transposed": 0}
    assert until_outside(dut, dut.o, {**rest, **walk}) == (given, line)
