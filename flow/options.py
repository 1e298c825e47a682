# SPDX-License-Identifier: Apache-2.0
"""Options that several commands of `vida` share."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from hw.config import PRESETS
from hw.errors import VidaError
from hw.version import VERSION

#: What is wrong with a command line; typer gives a name only to this one of its kinds.
UsageError = typer.BadParameter.__base__


def one_line(error: UsageError) -> str:
    """What is wrong with a command line, of which command, and where what is allowed is told."""
    command = error.ctx.command_path if error.ctx else "vida"
    said = " ".join(error.format_message().split()) + _given(error)
    return f"{command}: {said} ('{command} --help' tells what is allowed)"


def _given(error: UsageError) -> str:
    """The value of the option that is wrong, which typer does not tell."""
    names = getattr(getattr(error, "param", None), "opts", ())
    for word, after in pairwise([*sys.argv[1:], ""]):
        name, _, value = word.partition("=")
        if name in names:
            return f", not {value or after!r}"
    return ""


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Raise VidaError where one of the parameters `names` was given on the command line."""
    for name in names:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            value = context.params[name]
            given = f"{name} {value[0]!r}" if isinstance(value, list) else f"--{name} {value}"
            raise VidaError(f"{given}: {why}")


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise VidaError(f"no folder of Liberty files: {path}")
    return path


def _version(value: bool) -> None:
    if value:
        print(f"vida {VERSION}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                       help="print the version and stop")]
Preset = Annotated[str, typer.Option("--preset", "-p", metavar="NAME|FILE.toml",
                                     help=f"configuration: {', '.join(PRESETS)}, or a TOML file")]
Pdk = Annotated[Path | None, typer.Option("--pdk", envvar="VIDA_PDK", callback=_folder,
                                          help="folder of Liberty files (.lib, .lib.gz)")]
#: As `Pdk`, for who tells what is missing.
PdkOrNot = Annotated[Path | None, typer.Option("--pdk", envvar="VIDA_PDK", help="folder of Liberty files")]
Libraries = Annotated[list[str] | None, typer.Option("--library", help="instead of the space's; may be repeated")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="seed of the random operands and stalls; printed")]
