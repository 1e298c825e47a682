# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from synth import liberty
from synth.area import synthesise

ASAP7 = pytest.mark.skipif("asap7" not in liberty.available(), reason="VIDA_PDK names no folder with ASAP7")


class Xors(Component):
    """`count` two-input exclusive ors, then `count` registers."""

    def __init__(self, count):
        self._count = count
        super().__init__({"a": In(count), "b": In(count), "q": Out(count)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.q.eq(self.a ^ self.b)
        return m


class Two(Component):
    """Two blocks of exclusive ors, one behind the other, and a memory of 32 x 8 bits."""

    def __init__(self):
        super().__init__({"a": In(8), "q": Out(8), "address": In(5), "data": Out(8)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.one, m.submodules.two = one, two = Xors(8), Xors(8)
        m.d.comb += [one.a.eq(self.a), one.b.eq(self.q), two.a.eq(one.q), two.b.eq(self.a), self.q.eq(two.q)]
        m.submodules.store = store = Memory(shape=8, depth=32, init=[])
        write, read = store.write_port(), store.read_port()
        m.d.comb += [write.addr.eq(self.address), write.data.eq(self.a), write.en.eq(1), read.addr.eq(self.address),
                     self.data.eq(read.data)]
        return m


def test_gate_equivalents_are_counted_by_the_table():
    area = synthesise("xors", Xors(8), None)
    assert area.registers == 8 and area.um2 is None and area.path_ps is None
    # XOR 2.5, flip-flop 5, synchronous reset one AND-like gate of 1 to 1.5 a bit.
    assert 8 * 8.0 <= area.gate_equivalents <= 8 * 9.5


def test_memory_is_bits_and_not_flip_flops():
    area = synthesise("two", Two(), None)
    assert area.memory_bits == 32 * 8
    assert area.registers == pytest.approx(16, abs=8)


def test_a_block_can_be_left_out():
    assert synthesise("two", Two(), None, without=("xors",)).gate_equivalents < synthesise(
        "two", Two(), None).gate_equivalents - 100


@ASAP7
def test_cells_of_a_library():
    few, many = (synthesise("xors", Xors(count), "asap7") for count in (8, 16))
    assert many.um2 == pytest.approx(2 * few.um2, rel=0.05)
    assert many.registers == 16 and 5 < many.path_ps < 200
