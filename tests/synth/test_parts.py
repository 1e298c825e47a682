# SPDX-License-Identifier: Apache-2.0
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.rtlil import Modules
from hw.verilog import to_rtlil
from synth.area import map_rtlil, together
from synth.blocks import Block
from synth.parts import parts


class Adder(Component):
    """A registered sum."""

    def __init__(self):
        super().__init__({"a": In(8), "b": In(8), "q": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.q.eq(self.a + self.b)
        return m


class Pair(Component):
    """Two of them side by side."""

    def __init__(self):
        super().__init__({"a": In(8), "b": In(8), "q": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.one, m.submodules.two = one, two = Adder(), Adder()
        m.d.comb += [one.a.eq(self.a), one.b.eq(self.b), two.a.eq(self.a), two.b.eq(self.q),
                     self.q.eq(one.q ^ two.q)]
        return m


class Top(Component):
    """A pair, and a third behind it."""

    def __init__(self):
        super().__init__({"a": In(8), "b": In(8), "q": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.pair, m.submodules.last = pair, last = Pair(), Adder()
        m.d.comb += [pair.a.eq(self.a), pair.b.eq(self.b), last.a.eq(pair.q), last.b.eq(self.b), self.q.eq(last.q)]
        return m


def _found(**fields):
    text, top, _ports = to_rtlil(Top())
    return parts(Modules(text), Block(top=top, **fields))


def test_equal_parts_are_one_with_its_count():
    found = _found(apart=("adder",))
    assert {top: count for (_, top), count in found.items()} == {"top": 1, "adder": 3}
    (text, _), = [part for part in found if part[1] == "top"]
    assert "$xor" in text and "$add" not in text
    assert {top: count for (_, top), count in _found(apart=("pair", "adder")).items()} == {
        "top": 1, "pair": 1, "adder": 3}


def test_what_is_left_out_is_no_part():
    assert {top: count for (_, top), count in _found(apart=("adder",), without=("pair",)).items()} == {
        "top": 1, "adder": 1}
    assert len(_found()) == 1


def test_the_sum_of_the_parts():
    whole, = (map_rtlil("top", text, top, None) for text, top in _found())
    several = together("top", [(map_rtlil(top, text, top, None), count)
                               for (text, top), count in _found(apart=("adder",)).items()])
    assert several.registers == whole.registers == 24 and several.um2 is None
    assert abs(several.gate_equivalents / whole.gate_equivalents - 1) < 0.1
