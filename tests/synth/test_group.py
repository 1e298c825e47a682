# SPDX-License-Identifier: Apache-2.0
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.config import load_config
from hw.verilog import to_rtlil
from synth import group
from synth.blocks import Block
from synth.group import Synthesiser


class Stage(Component):
    """A register."""

    def __init__(self):
        super().__init__({"a": In(8), "q": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.q.eq(self.a)
        return m


class Line(Component):
    """Two registers, one behind the other; stands for a machine."""

    def __init__(self):
        super().__init__({"a": In(8), "q": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.one, m.submodules.two = one, two = Stage(), Stage()
        m.d.comb += [one.a.eq(self.a), two.a.eq(~one.q), self.q.eq(two.q)]
        return m


def test_blocks_of_the_machine_share_its_conversion(monkeypatch):
    asked = []

    def converted(config):
        asked.append(config.name)
        return to_rtlil(Line(), "machine")[0]

    blocks = {"vector": Block(top="stage"), "around": Block(top="machine", apart=("stage",))}
    monkeypatch.setattr(group, "machine_rtlil", converted)
    monkeypatch.setattr(group, "blocks", lambda config: blocks)
    synthesiser = Synthesiser(None)
    one, both = (synthesiser.block(load_config("tiny"), name) for name in blocks)
    assert (one.block, one.registers) == ("vector", 8) and (both.block, both.registers) == ("around", 16)
    # The part between the stages is eight inverters.
    assert both.gate_equivalents == 2 * one.gate_equivalents + 8 * 0.5
    assert asked == ["tiny", "tiny"]
    synthesiser.block(load_config("tiny").replace(name="other"), "around")
    assert asked == ["tiny", "tiny"]
