# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In

from verif.drivers import Field, Source, stream_of


def test_field_packs_element_0_lowest_and_back():
    field = Field("value", 8, True, (2, 3))
    value = [[-128, -1, 0], [1, 2, 127]]
    assert field.pack(value) == 0x7F_02_01_00_FF_80
    assert field.unpack(field.pack(value)) == value
    assert Field("count", 3).unpack(Field("count", 3).pack(7)) == 7
    assert Field("payload", 4, True).pack(-8) == 8


@pytest.mark.parametrize("field, value, message", [
    (Field("a", 8, True), 128, "field a holds -128..127, got 128..128"),
    (Field("b", 8), -1, "field b holds 0..255"),
    (Field("c", 1, False, (3,)), [0, 1], "field c has 3 elements, got 2")])
def test_field_refuses_what_does_not_fit(field, value, message):
    with pytest.raises(ValueError, match=message):
        field.pack(value)


class Device(Component):
    def __init__(self):
        beat = data.StructLayout({"value": data.ArrayLayout(signed(8), 4), "last": 1})
        super().__init__({"right": In(stream.Signature(beat)), "right_raw": In(stream.Signature(signed(6)))})


def test_streams_of_a_component_are_its_ports():
    device = Device()
    device._MustUse__silence = True     # Amaranth would warn that it was never elaborated
    assert stream_of(device, device.right) == ("right", [Field("value", 8, True, (4,)), Field("last", 1)])
    assert stream_of(device, device.right_raw) == ("right_raw", [Field("payload", 6, True)])


def test_pause_of_one_would_never_move():
    with pytest.raises(ValueError, match="pause is 1.0"):
        Source(type("Dut", (), {"s_valid": type("Handle", (), {})()}), "s", [], 1.0)
