# SPDX-License-Identifier: Apache-2.0
"""A sample of the soak, and that it would see what is wrong; `vida regress` runs it whole."""

import random

import pytest

from hw.config import load_config
from hw.control.isa import Opcode
from model.exact.machine.executor import Executor
from verif import soak as soaking
from verif.machine import SimulatedMachine
from verif.programs import Drawer
from verif.soak import Soak, configurations

SEED, TINY = 20, load_config("tiny")


@pytest.fixture(scope="module")
def sample():
    return Soak(TINY, SEED)


def test_random_programs_end_as_the_law_says(sample):
    print(f"seed {SEED}")
    soaked = sample.run(250_000)
    assert soaked.passed, soaked.first
    assert soaked.faults >= 5 and soaked.compared > 100_000


def test_every_truncation_is_reported(sample):
    before = sample.soaked.faults
    with SimulatedMachine(TINY, sample.size, limit=soaking.WATCHDOG) as machine:
        sample.truncations(machine)
    assert not sample.soaked.first and sample.soaked.faults - before > 40


def test_a_difference_and_a_wrong_status_are_seen(monkeypatch):
    one = Soak(TINY, SEED)
    data = one.drawer.data

    def other():
        given = bytearray(data())
        given[5] ^= 1
        return bytes(given)

    monkeypatch.setattr(one.drawer, "data", other)
    assert "program 1: 1 bytes differ, first 0x5" in one.run(1).first
    two = Soak(TINY, SEED)
    two._must(soaking.Ended("done", "", {"cycles": 3}), "address: load", "cut")
    assert two.soaked.first == f"tiny seed {SEED} program 1: cut: ended with done: ; address: load expected"


@pytest.mark.parametrize("config", configurations(), ids=lambda config: config.name)
def test_programs_are_right_in_every_order(config):
    drawer, opcodes = Drawer(config, random.Random(SEED)), set()
    for number in range(4):
        drawer.data()
        law = drawer.law
        before = [(store.bytes.copy(), store.defined.copy()) for store in (law.dram, law.buffer, law.sums)]
        program = drawer.program(40)
        opcodes |= {item.opcode for item in program}
        other = Executor(config, len(law.dram.bytes), seed=number, queue_depth=8)
        for store, (content, defined) in zip((other.dram, other.buffer, other.sums), before, strict=True):
            store.bytes[:], store.defined[:] = content, defined
        other.run(program)
        both = other.dram.defined & law.dram.defined
        assert (other.dram.bytes == law.dram.bytes)[both].all()
    assert opcodes == set(Opcode)


def test_a_matmul_that_overwrites_results_of_its_unit_has_a_fence():
    drawer, met = Drawer(TINY, random.Random(SEED)), 0
    for _ in range(6):
        drawer.data()
        drawer.program(40)
        matmuls = [step for step in drawer.steps if step.item.opcode is Opcode.MATMUL]
        for n, step in enumerate(matmuls):
            if any(earlier.unit == step.unit and earlier.writes & step.writes for earlier in matmuls[:n]):
                assert step.fields["fence"]
                met += 1
    assert met
