# SPDX-License-Identifier: Apache-2.0
"""Options that several commands of `vida` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hw.config import PRESETS
from hw.errors import VidaError


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise VidaError(f"no folder of Liberty files: {path}")
    return path


Preset = Annotated[str, typer.Option("--preset", "-p", metavar="NAME|FILE.toml",
                                     help=f"configuration: {', '.join(PRESETS)}, or a TOML file")]
Pdk = Annotated[Path | None, typer.Option("--pdk", envvar="VIDA_PDK", callback=_folder,
                                          help="folder of Liberty files (.lib, .lib.gz)")]
#: As `Pdk`, for who tells what is missing.
PdkOrNot = Annotated[Path | None, typer.Option("--pdk", envvar="VIDA_PDK", help="folder of Liberty files")]
Libraries = Annotated[list[str] | None, typer.Option("--library", help="instead of the space's; may be repeated")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="seed of the random operands and stalls; printed")]
