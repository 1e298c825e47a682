# SPDX-License-Identifier: Apache-2.0
import pytest

from host.driver import LawMachine, Sampler
from hw.control.isa import BYTES, Opcode, encode, instruction
from hw.errors import VidaError
from model.exact.machine.store import ProgramError


@pytest.fixture
def machine(lowered):
    return LawMachine(lowered().config, lowered().image.size)


def test_a_program_is_run_from_dram_to_its_end(machine):
    machine.write(64, b"".join(map(encode, [instruction(Opcode.LOAD, lines=2), instruction(Opcode.END)])))
    outcome = machine.run(64)
    assert (outcome.status, outcome.counters["loaded"], outcome.counters["LOAD"]) == ("done", 64, 1)


@pytest.mark.parametrize(("code", "status", "words"), [
    (bytes(BYTES), "illegal", "instruction 0: opcode is 0"),
    (encode(instruction(Opcode.LOAD, buffer=4095, lines=2)) + encode(instruction(Opcode.END)), "address", "buffer"),
    (encode(instruction(Opcode.LOAD, wait=1)) + encode(instruction(Opcode.END)), "deadlock", "nothing can start")])
def test_what_stops_a_program_is_told(machine, code, status, words):
    machine.write(0, code)
    outcome = machine.run(0)
    assert outcome.status == status
    assert words in outcome.message


def test_a_program_that_runs_out_of_dram_is_told(machine, lowered):
    size = lowered().image.size
    machine.write(size - BYTES, encode(instruction(Opcode.LOAD)))
    assert machine.run(size - BYTES).status == "address"
    with pytest.raises(ProgramError, match="DRAM byte"):
        machine.write(size - 1, b"ab")


def test_the_sampler_shows_every_outcome_and_stops_where_a_program_does(lowered, machine):
    outcomes = []
    sampler = Sampler(lowered(), machine, outcomes.append)
    network = lowered().network
    sampler.step(network.noise[0], 0, 3, 20)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    machine.write(lowered().image.pieces["step"][0], bytes(BYTES))
    with pytest.raises(VidaError, match="program step: illegal: instruction 0: opcode is 0"):
        sampler.step(network.noise[0], 0, 3, 20)
