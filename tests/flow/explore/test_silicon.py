# SPDX-License-Identifier: Apache-2.0
"""A block is mapped once, whoever asks."""

from __future__ import annotations

import pytest

from flow.explore.silicon import KeptSynthesiser
from hw.config import load_config
from synth.group import Synthesiser


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """The blocks that were really mapped."""
    asked, real = [], Synthesiser._mapped

    def mapped(self, name, *arguments):
        asked.append(name)
        return real(self, name, *arguments)

    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    monkeypatch.setattr(Synthesiser, "_mapped", mapped)
    return asked


def test_a_block_is_mapped_once(mapped):
    config = load_config("tiny")
    first, second = KeptSynthesiser(None), KeptSynthesiser(None)
    area = first.block(config, "dpu")
    assert second.block(config.replace(name="other", scan=8), "dpu") == area and mapped == ["dpu"]
    assert second.block(config.replace(depth=2, scan=8, slots=8), "dpu").gate_equivalents > area.gate_equivalents
    assert mapped == ["dpu", "dpu"]


def test_what_was_asked_before_is_not_converted_again(mapped, monkeypatch):
    config = load_config("tiny")
    area = KeptSynthesiser(None).block(config, "dpu")
    monkeypatch.setattr("synth.group.blocks", None)
    assert KeptSynthesiser(None).block(config.replace(name="other"), "dpu") == area and mapped == ["dpu"]
    with pytest.raises(TypeError):
        KeptSynthesiser(None).block(config.replace(depth=2, scan=8, slots=8), "dpu")
