# SPDX-License-Identifier: Apache-2.0
"""`vida explore` and `vida compare`: what they write, and one line for wrong input before anything is written."""

from __future__ import annotations

import sys

import pytest

from flow import cli

SPACE = """
base = "paper"
[axes]
drain = ["inplace", "shadow"]
[[variant]]
name = "balance"
fields = {allocation = "balance"}
[[variant]]
name = "dense8"
base = "dense8"
"""


@pytest.fixture
def vida(monkeypatch, capsys):
    """Run the command; returns (exit status, stdout, stderr)."""
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["vida", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            sys.exit(cli.main())
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


def test_a_space_is_explored(vida, stubbed, tmp_path):
    (tmp_path / "mine.toml").write_text(SPACE)
    status, out, _ = vida("explore", tmp_path / "mine.toml", "--workers", 0, "-o", tmp_path / "out")
    assert status == 0 and "mine: 4 machines, 0 combinations" in out and "0 results were there already" in out
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "pareto-ge.png", "points.parquet", "tables.txt"]
    assert "Speed-up over the best native machine" in (tmp_path / "out" / "tables.txt").read_text()
    assert "8 results were there already" in vida("explore", tmp_path / "mine.toml", "--workers", 0)[1]
    assert len(list((tmp_path / "build" / "explore").glob("mine-*/points.parquet"))) == 1


def test_a_failed_point_is_status_1(vida, stubbed, tmp_path):
    (tmp_path / "mine.toml").write_text(SPACE + "[[variant]]\nname = 'deep'\nfields = {depth = 4, scan = 8, slots = 8}")
    status, out, _ = vida("explore", tmp_path / "mine.toml", "--workers", 0, "-o", tmp_path / "out")
    assert status == 1 and "failed deep: cycles, timestep, 50 steps: ValueError: stands still" in out
    assert (tmp_path / "out" / "points.parquet").exists()


def test_two_machines_at_equal_area(vida, stubbed):
    status, out, _ = vida("compare", "paper", "dense8", "--library", "ge", "--steps", 8)
    assert status == 0 and "paper over dense8 at equal area, ge" in out and "frame 8" in out


@pytest.mark.parametrize(("words", "message"), [
    (("explore", "nowhere"), "unknown space 'nowhere'"),
    (("explore", "quick", "--cluster", "cloud"), "unknown cluster 'cloud'"),
    (("explore", "quick", "--library", "tsmc"), "unknown library 'tsmc'"),
    (("explore", "quick", "--library", "asap7", "--pdk", "/nowhere"), "Liberty"),
    (("explore", "quick", "--cluster-options", "/nowhere/x.toml"), "/nowhere/x.toml: cannot be read"),
    (("explore", "quick", "--output", __file__), "cannot write to"),
    (("explore", "quick", "--output", f"{__file__}/folder"), "cannot write to"),
    (("compare", "paper", "huge"), "unknown preset 'huge'"),
    (("compare", "paper", "tiny", "--library", "ge"), "right_rows is 64, must be at least 384"),
    (("compare", "paper", "dense8", "--steps", "12"), "steps: is 12, must be of 50, 20, 8"),
    (("compare", "paper", "dense8", "--sample", "3"), "sample: is 3"),
])
def test_wrong_input(words, message, vida, stubbed, tmp_path):
    status, _, err = vida(*words)
    assert status == 2 and message in err and err.count("\n") == 1
    assert not stubbed and not (tmp_path / "build").exists()
