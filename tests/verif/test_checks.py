# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from verif.checks import Checker, Cover, report


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)     # a report goes to the folder that the bench runs in


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


def test_report_gathers_checks_cover_and_figures():
    for block in ("a", "b"):
        checker = Checker(block)
        checker.check(0, 1, 1)
        checker.finish()
    Cover().finish()
    report("figures", {"cycles": 7})
    report("figures", {"beats": 5})
    one = {"compared": 1, "mismatches": 0}
    assert json.loads(Path("report.json").read_text()) == {
        "checks": {"a": one, "b": one}, "cover": {}, "figures": {"cycles": 7, "beats": 5}}
