# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from flow.results import Check, Result, StepResult, read_step, value_of, write_step, write_summary
from hw.errors import VidaError
from hw.version import VERSION

SPEED = Result("speed", 1.5, "1", "measured", "a run")
MASS = Result("mass", 3.0, "kg", "quoted", "a book")
SEEN = Check("seen", True, "it was")


@pytest.mark.parametrize(("fields", "message"), [
    (("a", 1.0, "1", "guessed", "b"), "'guessed', must be one of measured, modelled, quoted"),
    (("a", float("inf"), "1", "measured", "b"), "must be finite"),
    (("a", float("nan"), "1", "measured", "b"), "must be finite"),
    (("a", 1.0, "1", "measured", ""), "both must be given"),
])
def test_a_result_is_labelled_and_finite(fields, message):
    with pytest.raises(ValueError, match=message):
        Result(*fields)


def test_summary_holds_everything(tmp_path):
    path = tmp_path / "report" / "summary.json"
    write_summary(path, [SPEED, MASS], [SEEN], ["speed"])
    assert json.loads(path.read_text()) == {
        "format": 1, "vida": VERSION, "checks": [{"name": "seen", "passed": True, "detail": "it was"}],
        "results": [{"name": "speed", "value": 1.5, "unit": "1", "kind": "measured", "source": "a run"},
                    {"name": "mass", "value": 3.0, "unit": "kg", "kind": "quoted", "source": "a book"}]}
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]


@pytest.mark.parametrize(("results", "found", "message"), [
    ([SPEED, SPEED], [], "more than one result or check of the name speed"),
    ([SPEED], [SEEN, SEEN], "more than one result or check of the name seen"),
    ([MASS], [], "no result of the name speed"),
])
def test_summary_refuses_and_writes_nothing(tmp_path, results, found, message):
    with pytest.raises(VidaError, match=message):
        write_summary(tmp_path / "summary.json", results, found, ["speed"])
    assert not list(tmp_path.iterdir())


def test_a_step_comes_back_as_it_was(tmp_path):
    step = StepResult([SPEED], [SEEN], {"curve": [1, 2]})
    write_step(tmp_path / "step.json", step, "digest", 0.5)
    assert read_step(tmp_path / "step.json") == step


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', "\N{GREEK SMALL LETTER MU}"])
def test_a_broken_file_is_one_clear_error(tmp_path, text):
    path = tmp_path / "step.json"
    path.write_text(text, encoding="utf-16")
    with pytest.raises(VidaError, match=r"step\.json"):
        read_step(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(VidaError, match=r"step\.json"):
        read_step(path)


def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VidaError, match="cannot write"):
        write_summary(tmp_path / "file" / "summary.json", [], [], [])


def test_value_of():
    assert value_of([SPEED, MASS], "mass") == 3.0
    assert value_of([SPEED], "mass") is None
