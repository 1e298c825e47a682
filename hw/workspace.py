# SPDX-License-Identifier: Apache-2.0
"""Where results and caches lie, how a TOML file is read, and how files are written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hw.errors import VidaError


def build_folder(*parts: str) -> Path:
    """Folder for results and caches: `$VIDA_BUILD`, or `build` where the command runs; made when missing.

    Raises VidaError where it cannot be made.
    """
    folder = Path(os.environ.get("VIDA_BUILD", "build")).absolute().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidaError(f"cannot make folder {folder}: {error.strerror}") from error
    return folder


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Content of a TOML file; raises VidaError, which begins with `what` it is, where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise VidaError(f"{what}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise VidaError(f"{what}: not valid TOML: {error}") from None


def kept_text(path: Path, make: Callable[[], str]) -> str:
    """What the file `path` holds; where it is not there, what `make` gives, which is written to it whole.

    Two processes that want the same text make it once. Raises VidaError where it cannot be written.
    """
    try:
        with open(path.with_name(path.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                part = path.with_name(path.name + ".part")
                part.write_text(make(), encoding="utf-8")
                part.replace(path)
            return path.read_text(encoding="utf-8")
    except OSError as error:
        raise VidaError(f"cannot write {path}: {error.strerror}") from error


def check_writable(folder: Path) -> None:
    """Raise VidaError unless files can be written to `folder`, or the folder be made; for before a long run."""
    place = Path(folder).absolute()
    try:
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryDirectory(prefix=".vida-", dir=place):
            pass
    except OSError as error:
        raise VidaError(f"cannot write to {folder}: {error.strerror}") from error


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give a temporary folder; when the block ends well, move each file of it into `target` (made when missing).

    Files that `target` holds under other names stay. Raises VidaError where `target` is no folder, is read-only or
    its disk is full; then nothing in it has changed, since moving within one file system needs no space.
    """
    target = Path(target)
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    staging = None
    done = False
    try:
        target.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".vida-", dir=target))
        yield staging
        for file in sorted(staging.iterdir()):
            os.replace(file, target / file.name)
        done = True
    except OSError as error:
        raise VidaError(f"cannot write to {target}: {error.strerror}") from error
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)
        if not done:
            for folder in made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
