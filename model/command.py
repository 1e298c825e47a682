# SPDX-License-Identifier: Apache-2.0
"""How the package's own commands (`python -m model.train`, ...) start and fail."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from hw.errors import VidaError


def run(main: Callable[..., None]) -> None:
    """Run `main` on the command line's options; a user's mistake is one line on stderr and exit status 2."""
    try:
        typer.run(main)
    except VidaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
