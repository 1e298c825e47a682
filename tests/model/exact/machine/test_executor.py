# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from hw.control.isa import Opcode, VectorOp, instruction
from model.exact.machine.store import Fault, ProgramError

END = instruction(Opcode.END)
LINE = 32


def _load(**values):
    return instruction(Opcode.LOAD, **values)


def _fill(bench, first, data):
    bench.dram.bytes[first:first + len(data)] = data
    bench.dram.defined[first:first + len(data)] = True


def test_lines_move_by_pitch_and_by_table(machine):
    bench = machine()
    data = np.random.default_rng(0).integers(0, 256, 40 * LINE, dtype=np.uint8)
    _fill(bench, 64, data)
    lines = data.reshape(40, LINE)
    bench.row(900, [3, 0, 2])
    counts = bench.run([_load(dram=64, dram_pitch=5 * LINE, rows=3, lines=2, buffer=10, buffer_pitch=4),
                        _load(dram=64, dram_pitch=5 * LINE, rows=3, lines=1, buffer=100, buffer_pitch=1, use_table=1,
                              table=900),
                        END])
    near = bench.buffer.bytes.reshape(-1, LINE)
    assert (near[[10, 11, 14, 15, 18, 19]] == lines[[0, 1, 5, 6, 10, 11]]).all()
    assert (near[100:103] == lines[[15, 0, 10]]).all()
    assert counts.loaded == 9 * LINE
    counts = bench.run([instruction(Opcode.STORE, dram=2048, dram_pitch=LINE, rows=3, lines=1, buffer=100,
                                    buffer_pitch=1, use_table=1, table=900), END])
    far = bench.dram.bytes[2048:].reshape(-1, LINE)
    assert (far[[3, 0, 2]] == near[100:103]).all()
    assert not bench.dram.defined[2048 + LINE:2048 + 2 * LINE].any()
    assert counts.stored == 3 * LINE


@pytest.mark.parametrize(("change", "kind", "words"), [
    ({"dram": 16}, Fault.ILLEGAL, "dram is 0x10, a multiple of 32"),
    ({"dram_pitch": 48}, Fault.ILLEGAL, "dram_pitch is 0x30"),
    ({"dram": (1 << 64) - 32}, Fault.ADDRESS, "DRAM byte"),
    ({"dram": 1 << 14}, Fault.ADDRESS, "DRAM byte 0x4000, below 0x4000"),
    ({"buffer": 4096}, Fault.ILLEGAL, "buffer is 4096, at most 4095"),
    ({"buffer": 4095, "lines": 2}, Fault.ADDRESS, "buffer byte 0x2001f, below 0x20000")])
def test_moves_that_are_refused(machine, change, kind, words):
    with pytest.raises(ProgramError, match=words) as caught:
        machine().run([_load().replace(**change), END])
    assert caught.value.kind is kind


def _producer_and_consumer(wait=1, signal=1):
    """LOAD a stream, requantise it, STORE the result; the DRAM image for it."""
    return [_load(rows=1, lines=4, buffer=0, signal=signal),
            instruction(Opcode.VECTOR, op=VectorOp.REQUANTISE16, rows=4, cols=8, x=0, x_pitch=2, out=8, multiplier=1,
                        wait=wait, signal=2),
            instruction(Opcode.STORE, wait=2, dram=1024, rows=1, lines=1, buffer=8), END]


def test_queues_wait_for_semaphores_in_every_order(machine):
    for seed in range(20):
        bench = machine(seed=seed)
        _fill(bench, 0, np.arange(4 * LINE) % 100)
        bench.run(_producer_and_consumer())
        assert bench.dram.defined[1024:1024 + LINE].all()


def test_a_missing_token_shows_in_some_order(machine):
    faults = set()
    for seed in range(20):
        bench = machine(seed=seed)
        _fill(bench, 0, np.arange(4 * LINE) % 100)
        try:
            bench.run(_producer_and_consumer(wait=0, signal=0))
        except ProgramError as error:
            faults.add(error.kind)
    assert faults == {Fault.UNDEFINED}


def test_deadlock_overflow_and_a_missing_end_are_reported(machine):
    with pytest.raises(ProgramError, match=r"instruction 0 \(LOAD\) for semaphore 4") as caught:
        machine().run([_load(wait=1 << 4), END])
    assert caught.value.kind is Fault.DEADLOCK
    with pytest.raises(ProgramError, match="semaphore 3 counts to 256, 255 allowed") as caught:
        machine().run([_load(signal=1 << 3)] * 256 + [END])
    assert caught.value.index == 255
    with pytest.raises(ProgramError, match="program of 1 instructions without END"):
        machine().run([_load()])


def test_a_full_queue_holds_the_fetch(machine):
    """The second LOAD waits for the VECTOR behind the third, which is fetched only where a queue holds two."""
    program = [_load(signal=1), _load(wait=2), _load(), _producer_and_consumer()[1], END]
    with pytest.raises(ProgramError, match=r"instruction 1 \(LOAD\) for semaphore 1"):
        machine(strict=False, queue_depth=1).run(program)
    machine(strict=False, queue_depth=2).run(program)


def test_a_unit_may_read_before_the_instruction_ahead_has_written(machine):
    """Two products, the second on the first's result: right in every order only with a semaphore or a fence."""
    def run(seed, token=0, fence=0):
        bench = machine(seed=seed, strict=False)
        bench.put(0, np.eye(8, dtype=int), 1)
        bench.put(10, np.full((8, 8), 3), 1)
        bench.row(20, [1] * 8)
        item = instruction(Opcode.MATMUL, rows=8, cols=8, k=8, current=0, left_pitch=1, right=10, right_pitch=1,
                           emit_int8=1, int8=30, int8_pitch=1, scale=20, signal=token)
        bench.run([item, item.replace(current=30, int8=40, wait=token, signal=0, fence=fence), END])
        return (bench.get(40, (8, 8), 1) == 72).all()

    assert all(run(seed, token=1) for seed in range(10))
    assert all(run(seed, fence=1) for seed in range(10))
    assert not all(run(seed) for seed in range(10))
    assert run(None)
