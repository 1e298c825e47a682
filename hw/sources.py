# SPDX-License-Identifier: Apache-2.0
"""Under what circuits are kept: the sources that they are made from."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path


def _digest() -> str:
    state = hashlib.sha256(f"{version('amaranth')} {version('pyosys')}".encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        state.update(file.read_bytes())
    return state.hexdigest()


#: Hash of what a circuit is made from: the sources of `hw` and the generators' versions. Taken as the sources are
#: imported: a file that changes later is not what this process converts with.
SOURCES = _digest()
