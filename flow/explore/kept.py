# SPDX-License-Identifier: Apache-2.0
"""Outcomes that are kept in build/explore under a digest of everything that they come from."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from hw.errors import VidaError
from hw.workspace import build_folder

_ROOT = Path(__file__).parent.parent.parent


def sources_digest(*patterns: str) -> str:
    """Digest of the project's files that match.

    Take it as a module is imported: a file that changes later is not what this process computes with.
    """
    state = hashlib.sha256()
    for pattern in patterns:
        for file in sorted(_ROOT.glob(pattern)):
            state.update(str(file.relative_to(_ROOT)).encode() + file.read_bytes())
    return state.hexdigest()


def digest_of(*parts: Any) -> str:
    """Digest of plain values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def kept_path(folder: str, digest: str) -> Path:
    """Where the outcome of that digest lies."""
    return build_folder("explore", folder) / f"{digest}.json"


def read_kept(path: Path) -> Any | None:
    """The outcome; None where there is none, or only a part of one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def write_kept(path: Path, content: Any) -> None:
    """Write whole or not at all; raises VidaError where the folder cannot be written."""
    partial = path.with_suffix(f".{os.getpid()}.part")     # two processes may compute the same
    try:
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise VidaError(f"cannot write {path}: {error.strerror}") from error
