# SPDX-License-Identifier: Apache-2.0
"""The runner on small steps of its own: order, keeping, failure."""

import io
import sys

import pytest
from rich.console import Console

from flow import job, steps
from flow.results import read_step, results_folder
from flow.steps import Step
from hw.errors import VidaError

MODULE = """
from flow.results import StepResult, results_folder
from hw.errors import VidaError

def run(pdk, progress):
    progress("at work")
    with open(results_folder() / "order", "a") as stream:
        stream.write("{name} ")
    {body}
    return StepResult(data={{"pdk": str(pdk)}})
"""


@pytest.fixture
def make_steps(tmp_path, monkeypatch):
    """Replace the steps by modules with the given bodies; `second` waits for `first`."""
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path / "build"))

    def make(**bodies):
        table = {}
        for name, body in bodies.items():
            (tmp_path / f"step_{name}.py").write_text(MODULE.format(name=name, body=body))
            table[name] = Step(f"step_{name}", f"title of {name}", (), 60, ("first",) if name == "second" else ())
        (tmp_path / "launch.py").write_text(
            "import sys\nfrom flow import steps\nfrom flow.steps.__main__ import main\n"
            f"sys.path.insert(0, {str(tmp_path)!r})\n"
            f"steps.STEPS.clear()\nsteps.STEPS.update({{name: steps.Step(f'step_{{name}}', '', (), 60) "
            f"for name in {list(bodies)!r}}})\nsys.exit(main(sys.argv[1:]))\n")
        monkeypatch.setattr(job, "STEPS", table)
        monkeypatch.setattr(steps, "STEPS", table)
        monkeypatch.setattr(job, "COMMAND", [sys.executable, str(tmp_path / "launch.py")])
        return table

    return make


def run_steps(jobs=2):
    return job.Runner(None, Console(file=io.StringIO())).run(jobs)


def test_steps_run_in_order_and_are_kept(make_steps):
    make_steps(second="pass", first="pass")
    outcomes = run_steps()
    assert not any(outcome.error or outcome.kept for outcome in outcomes.values())
    assert (results_folder() / "order").read_text() == "first second "
    assert read_step(results_folder() / "first.json").data == {"pdk": "None"}
    assert all(outcome.kept for outcome in run_steps().values())


def test_a_deleted_result_runs_again_and_what_follows_it(make_steps):
    make_steps(first="pass", second="pass", third="pass")
    run_steps()
    (results_folder() / "first.json").unlink()
    assert {name: outcome.kept for name, outcome in run_steps().items()} == {
        "first": False, "second": False, "third": True}


def test_a_failure_is_told_and_the_others_are_kept(make_steps):
    make_steps(first="raise VidaError('no compiler')", second="pass", third="pass")
    outcomes = run_steps()
    assert outcomes["first"].error.startswith("no compiler")
    assert outcomes["second"].error == "needs first, which failed"
    assert not outcomes["third"].error
    assert run_steps()["third"].kept


def test_the_job_fails_with_one_line(make_steps):
    make_steps(first="raise VidaError('no compiler')", second="pass")
    with pytest.raises(VidaError, match=r"step first: no compiler .*\(and 1 more\)"):
        job.run(None, console=Console(file=io.StringIO()))


def test_a_crash_is_a_failure_with_its_log(make_steps):
    make_steps(first="raise RuntimeError('broken')")
    outcome = run_steps()["first"]
    assert "RuntimeError: broken" in outcome.error and "first.log" in outcome.error
