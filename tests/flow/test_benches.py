# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

import verif
from flow import benches
from hw.config import load_config
from verif.run import Outcome, bench_names
from verif.simulator import BenchResult, CaseResult
from verif.soak import Soaked


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Names of the benches that would run; `multiplier` fails."""
    names = []

    def run(name, config, *, seed):
        names.append(name)
        case = CaseResult("case", name != "multiplier", "" if name != "multiplier" else "3 is not 4", 0.1)
        result = BenchResult((case,), tmp_path, tmp_path / "sim.log", report={
            "checks": {"case": {"compared": 1000, "mismatches": 0}}, "cover": {"hit": 1, "never": 0}})
        return Outcome(name, config, result, (SimpleNamespace(hit=3, total=4),))

    monkeypatch.setattr(benches, "run_one", run)
    return names


def test_all_benches_of_the_blocks_that_there_are(ran):
    benches.run_benches(load_config("tiny"), [], 1, Console(file=io.StringIO()))
    assert ran == [name for name in bench_names() if name != "merge"] and {"peg", "encoder", "allocation"} <= set(ran)
    ran.clear()
    benches.run_benches(load_config("default"), [], 1, Console(file=io.StringIO()))
    assert "merge" in ran and "allocation" not in ran
    ran.clear()
    benches.run_benches(load_config("dense8"), [], 1, Console(file=io.StringIO()))
    assert "peg" in ran and not {"encoder", "allocation", "merge"} & set(ran)


def test_every_bench_file_is_in_the_plan():
    assert set(bench_names()) == {file.stem[6:] for file in Path(verif.__file__).parent.glob("bench_*.py")}


def test_by_default_each_bench_runs_on_its_own_machines(ran):
    assert not benches.run_benches(None, [], 1, Console(file=io.StringIO()))
    assert set(ran) == set(bench_names()) and ran.count("peg") == 4


def test_a_failure_is_printed_and_returned(ran):
    out = io.StringIO()
    assert benches.run_benches(load_config("tiny"), ["sad"], 1, Console(file=out, width=120))
    assert not benches.run_benches(load_config("tiny"), ["sad", "multiplier"], 1, Console(file=out, width=120))
    text = out.getvalue()
    assert "failed multiplier case: 3 is not 4" in text and "1 of 2" in text and "1,000" in text and "3 of 4" in text


def test_a_regression_with_a_mismatch_fails(monkeypatch):
    outcome = SimpleNamespace(name="odd", tiles=1, outputs=64, mismatches=1, cycles=9, passed=False, first="row 3: 5")
    monkeypatch.setattr(benches, "regress", lambda seed, outputs: [outcome])
    out = io.StringIO()
    assert not benches.run_regression(1, 10, Console(file=out, width=120))
    assert "failed odd: row 3: 5" in out.getvalue() and "64 outputs compared, seed 1" in out.getvalue()


def test_a_soak_with_a_hang_fails(monkeypatch):
    good, bad = Soaked("one", 1, 5, 90, 1000, 2, 64), Soaked("two", 1, 1, 9, 99, 0, 64, "two program 1: limit")

    def soak(seed, cycles, progress):
        progress(good)
        return [good, bad]

    monkeypatch.setattr(benches, "soak", soak)
    out = io.StringIO()
    assert not benches.run_soak(1, 10, Console(file=out, width=120))
    assert "failed two program 1: limit" in out.getvalue() and "1,099 cycles of random programs" in out.getvalue()
