# SPDX-License-Identifier: Apache-2.0
"""Rules that hold for every file: licence line, docstring, imports that run one way, no address of one machine."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Each folder may import those before it.
ORDER = ("hw", "model", "host", "verif", "synth", "flow")
#: Two folders on the same level.
APART = {("verif", "synth"), ("synth", "verif"), ("synth", "model"), ("synth", "host")}


def _tracked() -> list[Path]:
    """Files of the repository; without git, all that are no results."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


PYTHON = [file for file in _tracked() if file.suffix == ".py"]


def test_files_are_found():
    assert len(PYTHON) > 50


@pytest.mark.parametrize("suffix", [".py", ".cpp", ".vlt"])
def test_licence_line_first(suffix):
    for file in _tracked():
        if file.suffix == suffix:
            first = file.read_text().splitlines()[0]
            assert re.fullmatch(r"(#|//) SPDX-License-Identifier: Apache-2.0", first), file


def test_every_module_says_what_it_is():
    for file in PYTHON:
        if file.parts[len(ROOT.parts)] != "tests":
            assert ast.get_docstring(ast.parse(file.read_text())), file


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_imports_run_one_way():
    for file in PYTHON:
        folder = file.relative_to(ROOT).parts[0]
        if folder not in ORDER:
            continue
        for other in _imports(file) & set(ORDER):
            assert ORDER.index(other) <= ORDER.index(folder), f"{file} imports {other}"
            assert (folder, other) not in APART, f"{file} imports {other}"


def test_hardware_needs_no_torch():
    for file in PYTHON:
        if file.relative_to(ROOT).parts[0] == "hw":
            assert "torch" not in _imports(file), file


def test_no_address_of_one_machine():
    for file in _tracked():
        if file.suffix in (".safetensors", ".npz", ".png") or file == Path(__file__) or file.name == "run":
            continue
        text = file.read_text(errors="replace")
        for word in ("/work/", "/home/", "../shared"):
            assert word not in text, f"{file} says {word}"
