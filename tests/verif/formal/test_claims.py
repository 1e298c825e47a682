# SPDX-License-Identifier: Apache-2.0
"""Queues, semaphores, buses and streams: proved by induction; every property is refuted of a block that breaks it."""

from unittest.mock import patch

import pytest
from amaranth.hdl import Fragment, Module
from amaranth.lib.wiring import Component

from hw.config import load_config
from hw.control.arbiter import RoundRobin
from hw.control.axi_lite import AxiLite
from hw.control.queue import RegisterQueue
from hw.control.sequencer import Sequencer
from hw.control.tokens import Tokens
from hw.machine import Machine
from hw.memory.line_share import LineShare
from hw.vector.row_queue import RowQueue
from verif.formal import fifo, run, sequencer, tokens
from verif.formal.boundaries import GROUPS, BoundaryPart
from verif.formal.circuit import circuit
from verif.formal.claims import CLAIMS, claims, show
from verif.formal.fifo import QueuePart
from verif.formal.handshake import broken
from verif.formal.rules import STAYS, ports
from verif.formal.sequencer import SequencerPart
from verif.formal.tokens import TokensPart

TINY = load_config("tiny")
needs_tools = pytest.mark.usefixtures("formal_tools")


@needs_tools
@pytest.mark.parametrize("name", ["queues", "semaphores", "axi.fetch", "axi.lite"])
def test_claim_is_proved(name, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    claim = next(claim for claim in CLAIMS if claim.name == name)
    assert show(claim, TINY, 4, 200).verdict == "proved"


def spoilt(block, spoil):
    """The block, with one of its signals driven by something else besides: `spoil(module, block)`."""
    class Spoilt(block):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            spoil(m, self)
            return m
    return Spoilt


def comb(target, value):
    def spoil(m, block):
        m.d.comb += target(block).eq(value(block))
    return spoil


QUEUE_MUTANTS = (
    comb(lambda queue: queue.o.payload, lambda queue: queue.second), comb(lambda queue: queue.o.valid, lambda queue: 1),
    comb(lambda queue: queue.i.ready, lambda queue: 1), comb(lambda queue: queue.o.valid, lambda queue: 0),
    comb(lambda queue: queue.i.ready, lambda queue: 0), comb(lambda queue: queue.o.valid, lambda queue: queue.i.valid))


@needs_tools
def test_broken_queues_are_refuted(tmp_path, refuted):
    assert len(QUEUE_MUTANTS) == len(fifo.PROPERTIES)
    parts = [QueuePart(str(n), spoilt(RegisterQueue, spoil)(fifo.WIDTH, 2), strengthen=False)
             for n, spoil in enumerate(QUEUE_MUTANTS)]
    stale = comb(lambda queue: queue.o.payload, lambda queue: queue.i.payload)
    parts.append(QueuePart("row", spoilt(RowQueue, stale)(fifo.WIDTH, 4), strengthen=False))
    failed = refuted(parts, 6, tmp_path)
    wanted = [f"{n}: {name}" for n, name in enumerate(fifo.PROPERTIES)] + [f"row: {fifo.PROPERTIES[0]}"]
    assert set(wanted) <= set(failed), failed


class FirstOnly(RoundRobin):
    """The first one that asks goes, always."""

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.free[n].eq(~self.requests[:n].any()) for n in range(self._count)]
        return m


def forget(m, block):
    m.d.sync += block.counts[3].eq(0)


@needs_tools
def test_broken_semaphores_are_refuted(tmp_path, patched, refuted):
    mutants = (comb(lambda block: block.start, lambda block: block.ready & 1),
               comb(lambda block: block.start, lambda block: block.ready), forget)
    parts = [patched(TokensPart(3, strengthen=False, name="3 "), "hw.control.tokens.RoundRobin", FirstOnly)]
    for n, spoil in enumerate(mutants):
        with patch("verif.formal.tokens.Tokens", spoilt(Tokens, spoil)):
            parts.append(TokensPart(2, strengthen=False, name=f"{n} "))
    failed = refuted(parts, 6, tmp_path)
    assert {f"{n} {name}" for n, name in enumerate(tokens.PROPERTIES)} <= set(failed), failed


@needs_tools
def test_overflow_must_be_reported(tmp_path, monkeypatch, refuted):
    for module in ("hw.control.tokens", "verif.formal.tokens"):
        monkeypatch.setattr(f"{module}.SEMAPHORE_BITS", 1)
    part = TokensPart(2, strengthen=False)
    assert not refuted([part], 6, tmp_path / "good")

    def quiet(m, block):
        m.d.sync += block.overflow.eq(0)

    monkeypatch.setattr("verif.formal.tokens.Tokens", spoilt(Tokens, quiet))
    assert tokens.PROPERTIES[2] in refuted([TokensPart(2, strengthen=False)], 6, tmp_path / "bad")


def hurry(m, block):
    """A start asks for no more than an instruction."""
    m.d.comb += m.submodules.tokens.ready.eq(-1)


@needs_tools
def test_broken_sequencer_is_not_proved(tmp_path, monkeypatch):
    monkeypatch.setattr("verif.formal.sequencer.Sequencer", spoilt(Sequencer, hurry))
    proof = run.solve(circuit([SequencerPart(TINY)]), "mutant", "prove", 1, 200, tmp_path)
    assert proof.verdict != "proved" and set(proof.failed) & set(sequencer.PROPERTIES), proof.failed


@needs_tools
def test_broken_streams_are_refuted(tmp_path, refuted):
    hasty = comb(lambda share: share.request.valid, lambda share: share.client_request[0].valid)
    part = BoundaryPart("share", spoilt(LineShare, hasty)(TINY, 2), strengthen=False)
    assert f"share request: {STAYS}" in refuted([part], 4, tmp_path)


def test_ready_that_depends_on_valid_is_found():
    own = spoilt(RegisterQueue, comb(lambda queue: queue.i.ready, lambda queue: queue.i.valid))(4, 2)
    assert broken(own) == ["i: ready depends on valid"]
    passed = spoilt(RegisterQueue, comb(lambda queue: queue.o.valid, lambda queue: queue.o.ready))(4, 2)
    assert broken(passed) == ["o: valid depends on ready"]
    assert not broken(RegisterQueue(4, 2)) and not broken(AxiLite(6))


@pytest.mark.parametrize("group", ["control", "buffer", "operands"])
def test_blocks_keep_the_law_of_ready(group):
    from verif.formal.handshake import JOINS
    for name, block in GROUPS[group](TINY).items():
        assert not broken(block(), name in JOINS), name
    assert group != "buffer" or broken(GROUPS[group](TINY)["Buffer"]())


@pytest.fixture
def inside(monkeypatch):
    """Every component of the machine `tiny`."""
    found, made = [], Component.__init__

    def make(self, *arguments, **named):
        made(self, *arguments, **named)
        found.append(self)

    monkeypatch.setattr(Component, "__init__", make)
    Fragment.get(Machine(TINY), None)
    return found


def test_every_boundary_and_every_queue_is_in_a_claim(inside):
    offers = {type(block).__name__ for block in inside if any(port.sent for port in ports(block))}
    covered = {name.split()[0] for blocks in GROUPS.values() for name in blocks(TINY)}
    # Queues have claims of their own; a PEG is inside of a Group, its results go to the requantiser; the machine's two
    # buses are the DMA's and the registers'.
    assert offers - covered == {"RegisterQueue", "RowQueue", "PEG", "Machine"}
    assert {block._depth for block in inside if isinstance(block, RegisterQueue)} <= set(fifo.REGISTER_DEPTHS)
    assert {f"RowQueue of {block._depth}" for block in inside if isinstance(block, RowQueue)} <= set(fifo.queues())


def test_claims_have_names_of_their_own_and_native_lanes_lose_none_of_them_but_digits():
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names) and [claim.name for claim in claims(TINY)] == names
    assert {claim.name for claim in claims(load_config("dense8"))} == set(names) - {"digits"}
