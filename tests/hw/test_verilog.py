# SPDX-License-Identifier: Apache-2.0
import gc
import re

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from hw.verilog import snake, to_verilog


class HTTPAdder(Component):
    """Adds `step` to a stream's field."""

    def __init__(self, step, hidden=None):
        self._step, self._hidden = step, hidden or object()
        shape = stream.Signature(data.StructLayout({"a": 4, "b": 4}))
        super().__init__({"i": In(shape), "o": Out(shape), "spare": Out(1)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.p.a.eq(self.i.p.a + self._step), self.o.p.b.eq(self.i.p.b), self.o.valid.eq(1)]
        m.d.comb += self.i.ready.eq(self.o.ready)
        return m


class Chain(Component):
    """Three adders, of which two are equal, and a memory."""

    def __init__(self, steps):
        self._steps = steps
        shape = stream.Signature(data.StructLayout({"a": 4, "b": 4}))
        super().__init__({"i": In(shape), "o": Out(shape), "q": Out(8)})

    def elaborate(self, platform):
        m = Module()
        last = flipped(self.i)
        for n, step in enumerate(self._steps):
            m.submodules[f"adder_{n}"] = adder = HTTPAdder(step)
            connect(m, last, adder.i)
            last = adder.o
        connect(m, last, flipped(self.o))
        m.submodules.store = store = Memory(shape=8, depth=4, init=[])
        port, address = store.read_port(), Signal(2)
        m.d.sync += address.eq(address + 1)
        m.d.comb += [port.addr.eq(address), self.q.eq(port.data)]
        return m


def _modules(text):
    return re.findall(r"^module (\w+)\(([^)]*)\)", text, re.M)


def test_names_follow_the_classes():
    assert [snake(name) for name in ("CCPE", "AllocationUnit", "HTTPAdder")] == ["ccpe", "allocation_unit",
                                                                                "http_adder"]


def test_one_module_for_each_distinct_block():
    text, _ = to_verilog(Chain([1, 2, 1]))
    assert [name for name, _ in _modules(text)] == ["chain", "http_adder", "http_adder_2"]
    assert len(re.findall(r"^  http_adder adder_[02] \($", text, re.M)) == 2
    assert len(re.findall(r"^  http_adder_2 adder_1 \($", text, re.M)) == 1


def test_every_member_is_a_port_in_order_after_clock_and_reset():
    text, ports = to_verilog(Chain([1]))
    heads = dict(_modules(text))
    names = ["i_a", "i_b", "i_valid", "i_ready", "o_a", "o_b", "o_valid", "o_ready"]
    assert [port.name for port in ports] == [*names, "q"]
    assert heads["chain"].split(", ") == ["clk", "rst", *names, "q"]
    assert heads["http_adder"].split(", ") == ["clk", "rst", *names, "spare"]


def test_the_same_block_gives_the_same_bytes():
    assert to_verilog(Chain([1, 2, 1])) [0] == to_verilog(Chain([1, 2, 1]))[0]
    assert to_verilog(Chain([1, 2, 1]))[0] != to_verilog(Chain([2, 1, 2]))[0]


def test_nothing_of_this_machine_in_the_text():
    text, _ = to_verilog(Chain([1]))
    assert "Yosys" not in text and "src" not in text and ".py" not in text


def test_the_collector_rests_during_a_conversion_only(monkeypatch):
    seen = []
    real = Chain.elaborate
    monkeypatch.setattr(Chain, "elaborate", lambda self, platform: seen.append(gc.isenabled()) or real(self, platform))
    to_verilog(Chain([1]))
    assert seen == [False] and gc.isenabled()
