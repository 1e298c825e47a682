# SPDX-License-Identifier: Apache-2.0
"""What the README tells a newcomer to type works: quick commands are run as written, long ones parse."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hw.config import load_config

README = (Path(__file__).parent.parent / "README.md").read_text()
VIDA = str(Path(sys.executable).parent / "vida")
COMMANDS = [line.split("#")[0].split() for line in re.findall(r"^    (vida .*)$", README, re.M)]
QUICK = ("doctor", "generate")


def test_the_readme_names_every_command():
    told = {command[1] for command in COMMANDS}
    shown = subprocess.run([VIDA, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert told == set(re.findall(r"^. (\w+) ", shown, re.M)) - {"Options", "Commands"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[1])
def test_a_command_of_the_readme(command, tmp_path):
    arguments = command[1:] if command[1] in QUICK else [*command[1:], "--help"]
    done = subprocess.run([VIDA, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readmes_configuration_is_one(tmp_path):
    text = README.split("    # my.toml\n")[1].split("\n\n")[0]
    (tmp_path / "my.toml").write_text(re.sub(r"^    ", "", text, flags=re.M))
    assert load_config(str(tmp_path / "my.toml")).pegs == 2


def test_the_readmes_make_targets_exist():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
