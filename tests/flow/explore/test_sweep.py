# SPDX-License-Identifier: Apache-2.0
"""A sweep: what is kept is not done again, a failing point leaves the others, and dask does the same work."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flow.explore.cluster import Workers, read_options
from flow.explore.space import configurations, load_space
from flow.explore.sweep import check, sweep
from hw.errors import VidaError

SPACE = """
base = "paper"
[[variant]]
name = "none"
fields = {allocation = "none", queue_depth = 16, scan = 8, slots = 8}
axes = {depth = [1, 2, 4]}
[[variant]]
name = "dense8"
base = "dense8"
"""


@pytest.fixture
def space(tmp_path):
    (tmp_path / "mine.toml").write_text(SPACE)
    return load_space(tmp_path / "mine.toml")


def swept(space, workers=None):
    return sweep(configurations(space).machines, space, None, workers, Console(file=io.StringIO()))


def test_a_second_run_does_only_what_is_missing(space, stubbed, tmp_path):
    first = swept(space)
    assert len(stubbed) == 8 and first.kept == 0
    assert [machine.configured.label for machine in first.found] == ["depth=1", "depth=2", ""]
    assert first.failed == ["none: cycles, timestep, 50 steps: ValueError: stands still"]
    stubbed.clear()
    second = swept(space)
    assert stubbed == ["cycles"] and second.kept == 7 and second.found == first.found
    next((tmp_path / "build" / "explore" / "points").glob("*.json")).write_text('{"cut o')
    stubbed.clear()
    assert swept(space).found == first.found and len(stubbed) == 2


def test_local_processes_of_dask_find_the_same(space, stubbed):
    with Workers(2, "local", {"processes": False}) as workers:
        outcome = swept(space, workers)
    assert len(outcome.found) == 3 and outcome.failed == ["none: cycles, timestep, 50 steps: ValueError: stands still"]
    stubbed.clear()
    assert swept(space).found == outcome.found and stubbed == ["cycles"]


@pytest.mark.parametrize(("kind", "text"), [("slurm", "#SBATCH -p long"), ("lsf", "#BSUB -q long"),
                                            ("pbs", "#PBS -q long"), ("sge", "#$ -q long")])
def test_a_queue_gets_its_options(kind, text, tmp_path):
    (tmp_path / "options.toml").write_text('queue = "long"\nmemory = "4GB"\nwalltime = "01:00"\n')
    with Workers(0, kind, read_options(tmp_path / "options.toml")) as workers:
        assert text in workers.job_script


def test_wrong_input_is_one_line(space, tmp_path):
    with pytest.raises(VidaError, match="unknown cluster 'cloud': known are local, slurm, lsf, pbs, sge"):
        Workers(1, "cloud")
    with pytest.raises(VidaError, match="cluster slurm: "):
        Workers(1, "slurm", {"colour": "red", "memory": "1GB"})
    (tmp_path / "broken.toml").write_text("x = = 1")
    with pytest.raises(VidaError, match="broken.toml: not valid TOML"):
        read_options(tmp_path / "broken.toml")
    with pytest.raises(VidaError, match="none.toml: cannot be read"):
        read_options(tmp_path / "none.toml")
    machines = configurations(space).machines
    with pytest.raises(VidaError, match="Liberty"):
        check(machines, space.model_copy(update={"libraries": ["asap7"]}), tmp_path / "nowhere")
    small = space.model_copy(update={"axes": {"right_rows": [64]}})
    with pytest.raises(VidaError, match="right_rows is 64, must be at least 384"):
        check(configurations(small).machines, small, None)
    check(machines, space, None)
