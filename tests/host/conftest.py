# SPDX-License-Identifier: Apache-2.0
"""The trained tiny network lowered to preset `tiny`, once for all tests."""

from functools import cache

import pytest

from host.lower import lower
from hw.config import load_config
from model.quantise import load_quantised


@cache
def _lowered(method="dense", preset="tiny", network="tiny", **changes):
    return lower(load_quantised(network)[0], load_config(preset).replace(**changes), method)


@pytest.fixture
def lowered():
    """lowered(method="dense", preset="tiny", network="tiny", **changes of the preset)."""
    return _lowered
