# SPDX-License-Identifier: Apache-2.0
"""Outcomes that are kept in build/explore under a digest of everything that they come from."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from hw.errors import VidaError
from hw.workspace import build_folder

_ROOT = Path(__file__).parent.parent.parent


def sources_digest(*patterns: str) -> str:
    """Digest of the project's files that match; of Python what it does, not its comments, docstrings and layout.

    Take it as a module is imported: a file that changes later is not what this process computes with.
    """
    state = hashlib.sha256()
    for pattern in patterns:
        for file in sorted(_ROOT.glob(pattern)):
            content = file.read_bytes()
            state.update(str(file.relative_to(_ROOT)).encode())
            state.update(meaning(content.decode()).encode() if file.suffix == ".py" else content)
    return state.hexdigest()


@lru_cache(maxsize=4096)
def meaning(source: str) -> str:
    """Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


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
