# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw import converted
from hw.config import load_config
from hw.errors import VidaError
from hw.verilog import to_verilog


class Inverter(Component):
    """Stands for a machine."""

    made = 0

    def __init__(self, config):
        Inverter.made += 1
        super().__init__({"a": In(config.ccpes), "q": Out(config.ccpes)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.q.eq(~self.a)
        return m


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    monkeypatch.setattr(converted, "Machine", Inverter)
    monkeypatch.setattr(Inverter, "made", 0)


def test_a_machine_is_converted_once():
    config = load_config("tiny")
    text = converted.machine_rtlil(config)
    assert text == converted.machine_rtlil(config) and "module \\machine\n" in text
    assert converted.machine_verilog(config) == to_verilog(Inverter(config), "machine")[0]
    assert Inverter.made == 2       # the second is the test's own


def test_another_configuration_or_other_sources_are_another_text(monkeypatch):
    config = load_config("tiny")
    text = converted.machine_rtlil(config)
    assert converted.machine_rtlil(config.replace(ccpes=4)) != text
    monkeypatch.setattr(converted, "SOURCES", "changed")
    converted.machine_rtlil(config)
    assert Inverter.made == 3


def test_what_fails_is_not_kept(monkeypatch):
    def broken(config):
        raise VidaError("no machine")

    config = load_config("tiny")
    with monkeypatch.context() as patch, pytest.raises(VidaError, match="no machine"):
        patch.setattr(converted, "Machine", broken)
        converted.machine_rtlil(config)
    assert "module" in converted.machine_rtlil(config)
