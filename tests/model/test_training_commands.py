# SPDX-License-Identifier: Apache-2.0
"""A training that cannot be, or whose result cannot be kept, is refused before it begins."""

import pytest
import typer
import typer.testing

from hw.errors import VidaError
from model import autoencoder, frechet, train

COMMANDS = {"train": (train.main, ["--preset", "tiny"]), "autoencoder": (autoencoder.main, []),
            "frechet": (frechet.main, [])}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_steps_and_an_output_in_a_file(name, tmp_path, monkeypatch):
    main, words = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(main)
    (tmp_path / "file").write_text("")

    def vida(steps, output):
        return typer.testing.CliRunner().invoke(app, [*words, "--steps", steps, "--output", str(tmp_path / output)])

    for steps in ("0", "-5"):
        refused = vida(steps, "out")
        assert refused.exit_code == 2 and "'--steps'" in refused.output
    found = vida("1", "file/x/y")
    assert isinstance(found.exception, VidaError) and str(found.exception).startswith("cannot write to ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
