# SPDX-License-Identifier: Apache-2.0
"""The AXI masters and the AXI4-Lite slave: what they must keep to can be reached, and broken ones are refuted."""

from unittest.mock import patch

import pytest
from amaranth.hdl import C

from hw.control.axi_lite import AxiLite
from hw.control.queue import RegisterQueue
from hw.memory.axi_read import AxiReader
from hw.memory.axi_write import AxiWriter
from hw.memory.burst import BurstSplitter
from verif.formal import axi_lite, run
from verif.formal.axi import PROPERTIES, AxiPart
from verif.formal.axi_lite import AxiLitePart
from verif.formal.circuit import circuit

needs_tools = pytest.mark.usefixtures("formal_tools")
SIZES = 8, 16, 4, 2


def spoilt(block, spoil):
    """The block, with one of its signals driven by something else besides: `spoil(domains, block)`."""
    class Spoilt(block):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            spoil(m.d, self)
            return m
    return Spoilt


@needs_tools
@pytest.mark.parametrize("sizes", [SIZES, (32, 16, 2, 2)])
def test_every_cover_is_reached(sizes, tmp_path):
    parts = [AxiPart("read", AxiReader, sizes, strengthen=False), AxiPart("write", AxiWriter, sizes, strengthen=False)]
    assert run.solve(circuit(parts), "covers", "cover", 13, 100, tmp_path).verdict == "reached"


@needs_tools
@pytest.mark.parametrize("sizes", [SIZES, (32, 16, 2, 3)])
def test_masters_are_proved(sizes, tmp_path):
    parts = [AxiPart("read", AxiReader, sizes), AxiPart("write", AxiWriter, sizes)]
    assert run.solve(circuit(parts), "masters", "prove", 1, 100, tmp_path).verdict == "proved"


def drive(name, value, domain="comb"):
    """Spoil one signal of the bus, or of the block where the bus has none of that name."""
    def spoil(domains, block):
        of = block.bus if name in block.bus.signature.members else block
        domains[domain] += getattr(of, name).eq(value(block))
    return spoil


def several(*spoils):
    return lambda domains, block: [spoil(domains, block) for spoil in spoils]


#: What breaks a master, and the properties that it violates, by number.
READERS = (
    (several(drive("arvalid", lambda unit: unit.stop), drive("araddr", lambda unit: unit.command.p.address + 1),
             drive("arlen", lambda unit: unit.command.p.units)), {0, 1, 2, 3}),
    (drive("busy", lambda unit: 0), {4}))
WRITERS = (
    (several(drive("awvalid", lambda unit: unit.stop), drive("awaddr", lambda unit: unit.command.p.address + 1),
             drive("awlen", lambda unit: unit.command.p.units)), {0, 1, 2, 3}),
    (several(drive("busy", lambda unit: 0), drive("awaddr", lambda unit: 0),
             drive("wdata", lambda unit: unit.unit.payload, "sync")), {4, 5, 7}),
    (several(drive("wlast", lambda unit: 0, "sync"), drive("wstrb", lambda unit: 255)), {6, 8}))


@needs_tools
@pytest.mark.parametrize("master, mutants", [(AxiReader, READERS), (AxiWriter, WRITERS)])
def test_broken_masters_are_refuted(master, mutants, tmp_path, refuted):
    parts = [AxiPart(str(n), spoilt(master, spoil), SIZES, strengthen=False) for n, (spoil, _) in enumerate(mutants)]
    failed = refuted(parts, 6, tmp_path)
    assert {f"{n}: {PROPERTIES[k]}" for n, (_, violated) in enumerate(mutants) for k in violated} <= set(failed), failed


def test_every_property_of_the_masters_has_a_mutant():
    assert set().union(*(violated for _, violated in WRITERS)) == set(range(len(PROPERTIES)))


@needs_tools
def test_broken_blocks_inside_are_refuted(tmp_path, patched, refuted):
    def lengthen(domains, splitter):
        domains.comb += splitter.burst.p.grains.eq(4)

    def overfill(domains, queue):
        domains.comb += queue.i.ready.eq(C(1))

    parts = [patched(AxiPart(f"{block.__name__} {kind}", master, SIZES, strengthen=False),
                     f"hw.memory.axi_{kind}.{block.__name__}", spoilt(block, spoil))
             for kind, master, block, spoil in (("read", AxiReader, RegisterQueue, overfill),
                                                ("write", AxiWriter, BurstSplitter, lengthen))]
    failed = refuted(parts, 9, tmp_path)
    for part in parts:
        assert any(name.startswith(part.part._name) for name in failed), (part.part._name, failed)


LITE = (
    drive("bvalid", lambda lite: 1, "sync"), drive("bvalid", lambda lite: 0, "sync"), drive("arready", lambda lite: 1),
    drive("write_data", lambda lite: 5, "sync"), drive("bresp", lambda lite: 1, "sync"),
    drive("rdata", lambda lite: 5, "sync"))


@needs_tools
def test_broken_slaves_are_refuted(tmp_path, refuted):
    assert len(LITE) == len(axi_lite.PROPERTIES)
    parts = []
    for n, spoil in enumerate(LITE):
        with patch("verif.formal.axi_lite.AxiLite", spoilt(AxiLite, spoil)):
            parts.append(AxiLitePart(strengthen=False, name=f"{n} "))
    failed = refuted(parts, 6, tmp_path)
    assert {f"{n} {name}" for n, name in enumerate(axi_lite.PROPERTIES)} <= set(failed), failed
