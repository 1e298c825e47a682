# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import Component, In, Out

from hw.ports import component_ports


class Kind(enum.Enum, shape=2):
    ODD = 1
    EVEN = 2


SLOT = data.StructLayout({"k": 5, "digits": data.ArrayLayout(data.ArrayLayout(signed(4), 3), 2)})


class Block(Component):
    def __init__(self, extra=None):
        layout = data.StructLayout({"slot": data.ArrayLayout(SLOT, 2), "kind": Kind, "empty": 0, "last": 1})
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(8)), **(extra or {})})

    def elaborate(self, platform):
        return Module()


def _ports(**extra):
    block = Block(extra)
    block._MustUse__silence = True
    return {port.name: port for port in component_ports(block)}


def test_names_directions_and_places():
    ports = _ports()
    assert list(ports) == ["i_slot0_k", "i_slot0_digits", "i_slot1_k", "i_slot1_digits", "i_kind", "i_last", "i_valid",
                           "i_ready", "o_payload", "o_valid", "o_ready"]
    assert ports["i_ready"].direction == "output" and ports["i_last"].direction == "input"
    assert ports["o_ready"].direction == "input" and ports["o_payload"].direction == "output"
    assert (ports["i_slot1_k"].offset, ports["i_slot1_k"].width) == (5 + 24, 5)


def test_manifest_tells_the_layout_of_an_array():
    ports = _ports()
    assert ports["i_slot0_digits"].describe() == {
        "name": "i_slot0_digits", "direction": "input", "width": 24, "signed": True, "elements": [2, 3],
        "element_width": 4, "order": "element 0 in the least significant bits"}
    assert ports["i_kind"].describe()["values"] == {"ODD": 1, "EVEN": 2}


def test_a_field_does_not_take_the_name_of_a_member():
    ports = _ports(dense=Out(data.StructLayout({"valid": 1, "k": 2})), dense_valid=Out(1))
    assert {"dense__valid", "dense_k", "dense_valid"} <= set(ports)


def test_two_equal_names_are_refused():
    with pytest.raises(ValueError, match="would be called a__b"):
        _ports(**{"a": Out(stream.Signature(data.StructLayout({"b": 1}))), "a_b": Out(1), "a__b": Out(1)})
