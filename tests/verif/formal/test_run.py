# SPDX-License-Identifier: Apache-2.0
"""Machines are proved; broken ones are refuted from reset and not proved, so the properties can fail."""

import pytest
from amaranth.hdl import C

from hw.config import load_config
from hw.errors import VidaError
from hw.route.allocation import AllocationUnit
from hw.route.bank_queue import BankQueue
from hw.route.merge import MergeUnit
from hw.route.pool import Pool
from verif.formal import run
from verif.formal.harness import PROPERTIES

needs_tools = pytest.mark.usefixtures("formal_tools")


def small(allocation):
    one = 1 if allocation in ("none", "sparse") else 2
    return load_config("tiny").replace(name=f"small_{allocation}", allocation=allocation, depth=1, scan=one, slots=one,
                                       queue_depth=2, right_rows=8, sparse_sum="shared")


@needs_tools
@pytest.mark.parametrize("allocation", ["none", "sparse", "threshold", "balance", "merge"])
def test_small_machine_is_proved(allocation, tmp_path):
    assert run.prove(small(allocation), timeout_s=120, folder=tmp_path).verdict == "proved"


@needs_tools
@pytest.mark.parametrize("preset", ["tiny", "default"])     # paper takes a minute: `vida prove --preset paper`
def test_preset_is_proved(preset, tmp_path):
    assert run.prove(load_config(preset), timeout_s=600, folder=tmp_path).verdict == "proved"


@needs_tools
def test_every_cover_is_reached(tmp_path):
    assert run.prove(small("none"), "cover", depth=12, timeout_s=120, folder=tmp_path).verdict == "reached"


def broken(block, **spoilt):
    """A block that is given something else at an input (a function of it), or gives a constant at an output, or at
    fields of one (a dict)."""
    class Broken(block):
        def elaborate(self, platform):
            inputs = {name: getattr(self, name) for name in spoilt if self.signature.members[name].flow.value == "In"}
            for name, port in inputs.items():
                setattr(self, name, spoilt[name](port))
            m = super().elaborate(platform)
            for name, port in inputs.items():
                setattr(self, name, port)
            for name in spoilt.keys() - inputs.keys():
                ports = {name: spoilt[name]} if isinstance(spoilt[name], int) else spoilt[name]
                of = self if name in ports else getattr(self, name)
                m.d.comb += [getattr(of, port).eq(value) for port, value in ports.items()]
            return m
    return Broken


#: What is broken, and which property that violates: allocation, block, what is spoilt, property.
MUTANTS = {
    "queue takes a beat when full": ("merge", BankQueue, {"ready": 1}, "issued before its tile closes"),
    "queue keeps row 2": ("merge", BankQueue, {"take": lambda take: take & 0b1011}, "issued only while it waits"),
    "queue forgets the tile": ("merge", BankQueue, {"write_parity": lambda parity: C(0)}, "issued before"),
    "pool takes a beat when full": ("none", Pool, {"ready": 1}, "issued before its tile closes"),
    "pool forgets the tile": ("none", Pool, {"write_parity": lambda parity: C(0)}, "issued before its tile closes"),
    "pool offers nothing": ("none", Pool, {"dense_offer": 0}, "never two cycles"),
    "pool keeps what was issued": ("sparse", Pool, {"sparse_done": lambda done: C(0)}, "meets one right row"),
    "pool gives too early": ("balance", Pool, {"sparse_done": lambda done: C(1)}, "issued once"),
    "pool gives to both lanes": ("balance", Pool, {"take_sparse": lambda take: C(1)}, "issued once"),
    "pool is through too early": ("threshold", Pool, {"next": 1}, "issued before its tile closes"),
    "unit closes at once": ("none", AllocationUnit, {"op": {"last": 1}}, "a tile closes after its last beat"),
    "unit marks no first op": ("none", AllocationUnit, {"op": {"first": 0}}, "its first op is marked"),
    "unit hides its ops": ("merge", MergeUnit, {"op": {"valid": 0}}, "issued by a valid op"),
    "unit counts nothing": ("merge", MergeUnit, {"op": {"digits": 0}}, "an op issues a digit"),
    "unit waits for no right row": ("merge", MergeUnit, {"go": lambda go: C(1)}, "ops only of a tile"),
}
PLACES = {BankQueue: "hw.route.merge.BankQueue", Pool: "hw.route.allocation.Pool"}


@pytest.fixture(params=MUTANTS)
def mutant(request, monkeypatch):
    """The machine, and what its broken block violates."""
    allocation, block, spoilt, violated = MUTANTS[request.param]
    put = broken(block, **spoilt)
    if block in PLACES:
        monkeypatch.setattr(PLACES[block], put)
    else:
        monkeypatch.setattr("verif.formal.harness.issue_unit", lambda config: put)
    return small(allocation), violated


@needs_tools
def test_broken_block_is_refuted(mutant, tmp_path):
    config, violated = mutant
    proof = run.prove(config, "bmc", depth=10, timeout_s=120, folder=tmp_path)
    assert proof.verdict == "refuted" and proof.trace.is_file()
    assert any(name.startswith(violated) for name in proof.failed), proof.failed


@needs_tools
@pytest.mark.parametrize("mutant", ["queue keeps row 2", "pool gives to both lanes", "pool is through too early"],
                         indirect=True)
def test_broken_block_is_not_proved(mutant, tmp_path):
    config, _ = mutant
    proof = run.prove(config, timeout_s=120, folder=tmp_path)
    assert proof.verdict == "open" and proof.failed


@needs_tools
def test_broken_block_of_a_preset_is_not_proved(monkeypatch, tmp_path):
    monkeypatch.setattr(PLACES[BankQueue], broken(BankQueue, take=lambda take: take & 0b1011))
    proof = run.prove(load_config("default"), timeout_s=300, folder=tmp_path)
    assert proof.verdict == "open" and proof.failed


def test_every_property_has_a_mutant():
    violated = [mutant[-1] for mutant in MUTANTS.values()]
    assert all(any(name.startswith(start) for start in violated) for name in PROPERTIES)


def test_missing_tools_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(run.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VidaError, match=r"yowasp-sby not found: pip install 'vida\[formal\]'"):
        run.prove(small("none"))


def test_native_lanes_have_nothing_to_prove():
    with pytest.raises(VidaError, match="lane is native, must be digit"):
        run.prove(load_config("dense8"))
