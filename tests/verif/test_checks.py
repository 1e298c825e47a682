# SPDX-License-Identifier: Apache-2.0
import pytest

from verif.checks import Checker, Cover, report


def test_first_mismatch_has_block_index_hex_and_value():
    checker = Checker("peg0")
    assert checker.check("tile 3", [[1, 2], [3, 4]], [[1, 2], [3, 4]], 28)
    assert not checker.check("tile 4", [[1, -2], [3, 4]], [[1, 2], [3, 5]], 28)
    assert (checker.compared, checker.mismatches) == (8, 2)
    with pytest.raises(AssertionError) as error:
        checker.finish()
    assert str(error.value) == "peg0 tile 4[0][1]: got -2 (0xffffffe), law says 2 (0x0000002)"


def test_comparing_nothing_or_lists_of_two_lengths_fails():
    with pytest.raises(AssertionError, match="nothing was compared"):
        Checker("empty").finish()
    with pytest.raises(ValueError, match="2 values, 1 expected"):
        Checker("b").check("row", [1, 2], [1])


def test_cover_names_what_was_missed():
    cover = Cover("full", "stall")
    cover.hit("full")
    cover.hit("stall", False)
    cover.hit("seen", 0)
    with pytest.raises(AssertionError, match="never hit: stall$"):
        cover.finish()
    cover.hit("stall")
    cover.finish()


def test_report_merges(tmp_path):
    path = tmp_path / "report.json"
    report(path, vectors=3)
    report(path, mismatches=0)
    assert path.read_text() == '{"vectors": 3, "mismatches": 0}'
