# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from flow import inputs
from flow.steps import STEPS, inputs_digest


def names(module):
    return {str(file.relative_to(inputs.ROOT)) for file in inputs.modules(module)}


def test_a_step_is_computed_from_what_it_imports():
    found = names("flow.steps.simulate")
    assert {"flow/__init__.py", "flow/steps/simulate.py", "verif/player.py", "hw/config.py",
            "model/exact/route/pools.py"} <= found
    assert not {"flow/steps/quality.py", "verif/bench_peg.py", "hw/machine.py", "host/lower.py"} & found
    assert {"hw/machine.py", "host/lower.py"} <= names("flow.steps.machine")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "ROOT", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "__init__.py").write_text("")
    (tmp_path / "a" / "b.py").write_text("from a import c\nimport json\n")
    (tmp_path / "a" / "c.py").write_text("X = 1\n")
    (tmp_path / "a" / "d.py").write_text("X = 1\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "list.toml").write_text("x = 1\n")
    return tmp_path


def rewritten(file: Path, text: str) -> None:
    file.write_text(text)
    inputs._known.cache_clear()


def test_only_what_counts_changes_the_digest(tree):
    first = inputs.digest("a.b", ["data"])
    rewritten(tree / "a" / "d.py", "X = 2\n")
    rewritten(tree / "a" / "c.py", '"""A page."""\nX = 1  # one\n')
    (tree / "data" / "README.md").write_text("more")
    assert inputs.digest("a.b", ["data"]) == first
    rewritten(tree / "a" / "c.py", "X = 2\n")
    second = inputs.digest("a.b", ["data"])
    (tree / "data" / "list.toml").write_text("x = 2\n")
    assert len({first, second, inputs.digest("a.b", ["data"])}) == 3


def test_libraries_count_where_they_are_needed(tmp_path):
    (tmp_path / "one.lib").write_text("library (one) {}")
    for name, step in STEPS.items():
        assert (inputs_digest(name, tmp_path) != inputs_digest(name, None)) == step.needs_pdk
