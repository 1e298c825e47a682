# SPDX-License-Identifier: Apache-2.0
"""A block is mapped once, whoever asks; figures that come with the project are taken where nothing has changed."""

from __future__ import annotations

import json

import pytest

from flow.explore import silicon
from flow.explore.silicon import KeptSynthesiser
from hw.config import load_config
from hw.errors import VidaError
from synth.group import Synthesiser


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """The blocks that were really mapped."""
    asked, real = [], Synthesiser.block

    def block(self, config, name, recipes=("area",)):
        asked.append(name)
        return real(self, config, name, recipes)

    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    monkeypatch.setattr(Synthesiser, "block", block)
    monkeypatch.setattr(silicon, "MAPPED", tmp_path / "mapped.json")
    silicon.shipped.cache_clear()
    yield asked
    silicon.shipped.cache_clear()


def test_a_block_is_mapped_once(mapped, tmp_path):
    config = load_config("tiny")
    first, second = KeptSynthesiser(None), KeptSynthesiser(None)
    area = first.block(config, "dpu")
    assert second.block(config.replace(name="other", scan=8), "dpu") == area and mapped == ["dpu"]
    assert second.block(config.replace(depth=2, scan=8, slots=8), "dpu").gate_equivalents > area.gate_equivalents
    assert mapped == ["dpu", "dpu"] and list(first.used) == list(second.used)[:1]


def test_figures_that_come_with_the_project(mapped, tmp_path):
    config, first = load_config("tiny"), KeptSynthesiser(None)
    area = first.block(config, "dpu")
    for file in (tmp_path / "explore" / "blocks").iterdir():
        file.unlink()
    (tmp_path / "mapped.json").write_text(json.dumps({"format": 1, "blocks": first.used, "machines": {}}))
    silicon.shipped.cache_clear()
    assert KeptSynthesiser(None).block(config, "dpu") == area and mapped == ["dpu"]
    assert KeptSynthesiser(None).block(config.replace(k_max=512), "dpu") != area and mapped == ["dpu", "dpu"]


def test_another_format_is_refused(mapped, tmp_path):
    (tmp_path / "mapped.json").write_text('{"format": 2}')
    silicon.shipped.cache_clear()
    with pytest.raises(VidaError, match="has format 2, only format 1 is read"):
        KeptSynthesiser(None).block(load_config("tiny"), "dpu")
