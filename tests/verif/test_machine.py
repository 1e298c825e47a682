# SPDX-License-Identifier: Apache-2.0
"""The whole machine under Verilator: steps of a trained network, and what goes wrong on its way."""

import pytest
import torch

from host.driver import Sampler
from host.foresee import Foresight
from host.lower import lower
from hw.config import load_config
from hw.control.isa import BYTES, Opcode, encode, instruction
from hw.errors import VidaError
from model.exact.operators import Operators
from model.exact.step import denoise
from model.quantise import load_quantised
from verif import machine as module
from verif.machine import Bus, SimulatedMachine, read_trace

LIMIT = 400_000


@pytest.fixture(scope="module")
def network():
    return load_quantised("tiny")[0]


def simulated(lowered, **parameters):
    return SimulatedMachine(lowered.config, lowered.image.size, limit=LIMIT, **parameters)


def step(lowered, machine, number=3, label=2):
    """A step on the machine, whether it is the law's, and how its program ended."""
    outcomes = []
    video = lowered.network.noise[label]
    got = Sampler(lowered, machine, outcomes.append).step(video, label, number, 50)
    return torch.equal(got, denoise(lowered.network, video, label, number, 50, Operators())), outcomes[-1]


@pytest.mark.parametrize("method, bus", [("dense", Bus()), ("original", Bus(8, 90, pause=0.2, seed=5))],
                         ids=["dense", "original, slow bus"])
def test_a_step_of_the_network_is_the_laws(network, method, bus, tmp_path):
    lowered = lower(network, load_config("tiny"), method)
    with simulated(lowered, bus=bus, trace=tmp_path / "trace") as machine:
        exact, outcome = step(lowered, machine)
    assert exact and outcome.status == "done"
    counters = outcome.counters
    items = lowered.step.instructions
    assert counters["peg0_done"] == sum(item.opcode is Opcode.MATMUL for item in items)
    assert counters["vector_done"] == sum(item.opcode is Opcode.VECTOR for item in items)
    spans = read_trace(tmp_path / "trace", lowered.config)
    busy = sum(span.end - span.start for span in spans if span.unit == "peg0")
    assert counters["peg0_busy"] <= busy <= counters["peg0_busy"] + 4


def test_steps_take_as_long_as_foreseen(network):
    lowered = lower(network, load_config("tiny"), "ditto")
    foreseen = Foresight(lowered, 50, (0, 1), label=2)
    for bandwidth in (None, 8):
        outcomes, video = [], network.noise[2]
        with simulated(lowered, bus=Bus(bandwidth)) as machine:
            sampler = Sampler(lowered, machine, outcomes.append)
            for number in range(2):
                video = sampler.step(video, 2, number, 50)
        for number, outcome in enumerate(outcomes[1:]):
            assert foreseen.step(number, bandwidth).cycles == pytest.approx(outcome.counters["cycles"], rel=0.02)


def test_bus_errors_end_the_program_and_the_next_one_runs(network):
    lowered = lower(network, load_config("tiny"), "dense")
    program, size = lowered.image.pieces["step"]
    output = lowered.image.pieces["output"][0]
    with simulated(lowered) as machine:
        for address, response, status, what in (
                (lowered.image.pieces["input"][0], 2, "slverr", f"load at {lowered.image.pieces['input'][0]:#x}"),
                (program + 64 * 5, 3, "decerr", f"fetch at {program + 64 * 5:#x}"), (output, 2, "slverr", "store at")):
            assert step(lowered, machine)[0]
            machine.spoil(address, response)
            with pytest.raises(VidaError, match=f"{status}: {what}"):
                step(lowered, machine)
        assert step(lowered, machine)[0]


def wrong(**fields):
    """A program with one instruction of such fields before its END."""
    return [encode(instruction(fields.pop("opcode", Opcode.LOAD), **fields)), encode(instruction(Opcode.END))]


WRONG = {"illegal": ([bytes(64), encode(instruction(Opcode.END))], "instruction"),
         "deadlock": (wrong(opcode=Opcode.STORE, wait=1), "deadlock"), "no memory": (wrong(dram=1 << 40), "decerr"),
         "no buffer": (wrong(buffer=4000, lines=200), "address"), "truncated": (wrong()[:1], "address")}


@pytest.mark.parametrize("program, status", WRONG.values(), ids=WRONG)
def test_a_wrong_program_is_reported(network, program, status):
    lowered = lower(network, load_config("tiny"), "dense")
    with simulated(lowered) as machine:
        at = lowered.image.size - BYTES * len(program)
        machine.write(at, b"".join(program))
        outcome = machine.run(at)
    assert outcome.status == status, outcome


@pytest.mark.parametrize("short", [False, True])
def test_for_few_cycles_instances_share_code(monkeypatch, short):
    asked = {}

    def compiled(*_, **how):
        asked.update(how)
        raise VidaError("asked")

    monkeypatch.setattr(module, "compiled", compiled)
    with pytest.raises(VidaError, match="asked"):
        SimulatedMachine(load_config("tiny"), 64, short=short)
    assert asked["shared"] is short
