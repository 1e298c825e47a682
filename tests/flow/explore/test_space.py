# SPDX-License-Identifier: Apache-2.0
"""Spaces: what they hold, what is skipped, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from flow.explore.space import SPACES, configurations, load_space
from hw.errors import VidaError

BEGIN = 'base = "paper"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", [file.stem for file in SPACES.glob("*.toml")])
def test_the_spaces_of_the_package_are_spaces(name):
    machines = configurations(load_space(name)).machines
    assert len(machines) > 2 and {"dense8"} <= {machine.variant for machine in machines}


def test_points_axes_and_fields(tmp_path):
    space = load_space(written(tmp_path, BEGIN + """
[axes]
drain = ["inplace", "shadow"]
[[variant]]
name = "own"
fields = {allocation = "balance", queue_depth = 10}
points = [{depth = 1}, {depth = 2, queue_depth = 12}]
"""))
    machines = configurations(space).machines
    assert [machine.label for machine in machines] == [
        "depth=1 drain=inplace", "depth=1 drain=shadow", "depth=2 queue_depth=12 drain=inplace",
        "depth=2 queue_depth=12 drain=shadow"]
    assert [machine.config.queue_depth for machine in machines] == [10, 10, 12, 12]
    assert {machine.config.name for machine in machines} == {"own"}
    assert space.name == "mine" and len(space.digest()) == 12


def test_contradictions_are_skipped_and_equal_machines_occur_once(tmp_path):
    found = configurations(load_space(written(tmp_path, BEGIN + "[axes]\ndepth = [1, 1, 2]\nscan = [3, 8]\n")))
    assert [machine.label for machine in found.machines] == ["depth=1 scan=8", "depth=2 scan=8"]
    assert len(found.skipped) == 3 and "scan is 3, must be a multiple of 2" in found.skipped[0]


WRONG = {
    "speed = 3": "speed: unknown key; known: format, name, base",
    "format = 2": "format: is 2: ",
    'libraries = ["tsmc"]': "libraries: is 'tsmc', must be of ge, asap7",
    "steps = [12]": "steps: is 12, must be of 50, 20, 8",
    'references = ["last"]': "references.0: is 'last'",
    "sample = 3": "sample: is 3: ",
    "[axes]\nwings = [1]": "axes: unknown field 'wings'; known: pegs",
    "[axes]\nname = ['a']": "axes: unknown field 'name'",
    "[axes]\ndepth = []": "axes.depth: is []",
    "[[variant]]\nname = 'a'\nwings = 2": "variant.0.wings: unknown key; known: name, base",
    "[[variant]]\nname = 'a'\npoints = [{wings = 2}]": "variant a: unknown field 'wings'",
    "[[variant]]\nname = 'a'\n[[variant]]\nname = 'a'": "more than one of the same name",
    "x = = 1": "not valid TOML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_space_is_one_line(tmp_path, text):
    with pytest.raises(VidaError) as caught:
        load_space(written(tmp_path, BEGIN + text))
    assert WRONG[text] in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [
    ("[axes]\ndepth = [1, 3]", "depth is 3: Input should be 1, 2 or 4"),
    ("[axes]\ndrain = ['fast']", "drain is 'fast'"),
    ("[axes]\nscan = [3]\ndepth = [2]", "no combination is a machine: .*scan is 3"),
    ("[axes]\nk_max = [512, 600, 700, 800]", "more than 3 combinations"),
])
def test_wrong_values(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr("flow.explore.space.MOST", 3)
    with pytest.raises(VidaError, match=message):
        configurations(load_space(written(tmp_path, BEGIN + text)))


def test_a_space_that_is_not_there(tmp_path):
    with pytest.raises(VidaError, match="unknown space 'nowhere': known are .*quick"):
        load_space("nowhere")
    with pytest.raises(VidaError, match="cannot be read: No such file"):
        load_space(tmp_path / "none.toml")
