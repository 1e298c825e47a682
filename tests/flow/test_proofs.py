# SPDX-License-Identifier: Apache-2.0
"""Which runs of the solver `vida prove` makes, and what it takes for a proof. The solver itself: tests/verif/formal."""

import io

import pytest
from rich.console import Console

from flow import proofs
from hw.config import load_config
from verif.formal.run import Proof


def outcome(monkeypatch, tmp_path, **verdicts):
    """Runs made, whether it counts as a proof, and what was printed."""
    runs, console = [], Console(file=io.StringIO(), width=300)

    def run(config, mode, cycles, timeout_s):
        runs.append((mode, cycles))
        verdict, shown = verdicts[mode] if isinstance(verdicts[mode], tuple) else (verdicts[mode], cycles)
        trace = tmp_path / "trace.vcd" if verdict == "refuted" else None
        return Proof(verdict, shown, 1.0, trace, tmp_path / "sby.log", ("issued once",))

    monkeypatch.setattr(proofs, "run", run)
    holds = proofs.prove(load_config("default"), 12, 600, console)
    return runs, holds, console.file.getvalue()


def test_proof_needs_no_run_from_reset(monkeypatch, tmp_path):
    runs, holds, text = outcome(monkeypatch, tmp_path, prove="proved", cover="reached")
    assert holds and runs == [("prove", 1), ("cover", 12)]
    assert "MergeUnit" in text and "proved for any length" in text and "issued once" in text


def test_bound_counts_as_far_as_covers_are_reached(monkeypatch, tmp_path):
    runs, holds, text = outcome(monkeypatch, tmp_path, prove="open", bmc=("bounded", 5), cover="reached")
    assert holds and runs == [("prove", 1), ("bmc", 12), ("cover", 5)] and "holds for 5 cycles" in text


@pytest.mark.parametrize("verdicts", [
    {"prove": "proved", "cover": "open"}, {"prove": "open", "bmc": "refuted", "cover": "reached"},
    {"prove": "open", "bmc": "open", "cover": "reached"}])
def test_anything_less_is_no_proof(monkeypatch, tmp_path, verdicts):
    _, holds, text = outcome(monkeypatch, tmp_path, **verdicts)
    assert not holds and ("refuted: issued once (waves" in text) == ("refuted" in verdicts.values())
