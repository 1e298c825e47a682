# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from hw.control.isa import Opcode, instruction
from hw.payloads import Init
from model.exact.machine.store import Fault, ProgramError

END = instruction(Opcode.END)


def _draw(*shape, low=-128, high=128, seed=0):
    return np.random.default_rng([seed, *shape]).integers(low, high, shape)


def _matmul(**values):
    return instruction(Opcode.MATMUL, emit_accumulators=1, accumulators=200, **values)


@pytest.mark.parametrize("ccpes", [1, 2, 4])
@pytest.mark.parametrize("shape", [(4, 4, 4), (6, 13, 10), (17, 33, 40)])
def test_product_of_differences_with_init_and_requantised(machine, ccpes, shape):
    (m, n, k), bench = shape, machine(ccpes=ccpes)
    current, reference, right = _draw(m, k), _draw(m, k, seed=1), _draw(k, n)
    init, scale = _draw(m, n, low=-999, high=999), _draw(n, low=0, high=4096)
    left_pitch = bench.put(0, current, 1)
    bench.put(100, reference, 1)
    right_pitch = bench.put(400, right, 1)
    bench.row(700, scale)
    pitch = bench.put(200, init, 4)
    bench.run([_matmul(rows=m, cols=n, k=k, current=0, reference=100, use_reference=1, left_pitch=left_pitch, right=400,
                       right_pitch=right_pitch, init=Init.TILE, init_address=200, init_pitch=pitch, acc_pitch=pitch,
                       emit_int8=1, int8=800, int8_pitch=left_pitch + 20, scale=700, shift=22), END])
    want = (init + (current - reference) @ right + (1 << 24)) % (1 << 25) - (1 << 24)
    assert (bench.get(200, (m, n), 4) == want).all()
    small = np.clip((want * scale + (1 << 21)) >> 22, -128, 127)
    assert (bench.get(800, (m, n), 1, left_pitch + 20) == small).all()


def test_transposed_operands_and_first_words(machine):
    bench, (m, n, k) = machine(ccpes=4), (10, 18, 12)
    left, right, init = _draw(m, k + 8), _draw(n, k + 4), _draw(n, m)
    pitches = bench.put(0, left, 1), bench.put(100, right, 1), bench.put(300, init, 4, 5)
    bench.run([_matmul(rows=m, cols=n, k=k, current=0, left_pitch=pitches[0], left_word=2, right=100, right_word=1,
                       right_pitch=pitches[1], right_transposed=1, init=Init.TILE, init_transposed=1, init_address=300,
                       init_pitch=pitches[2], acc_pitch=8), END])
    assert (bench.get(200, (m, n), 4, 8) == left[:, 8:] @ right[:, 4:].T + init.T).all()


def test_bias_zero_hold_and_chunks_in_place(machine):
    bench = machine()
    left, right, bias = _draw(4, 24), _draw(24, 8), _draw(8)
    bench.put(0, left, 1)
    bench.put(50, right, 1)
    bench.row(90, bias)
    common = dict(rows=4, cols=8, left_pitch=3, right_pitch=1, acc_pitch=4)
    first = _matmul(k=8, current=0, right=50, init=Init.BIAS, init_address=90, **common)
    second = _matmul(k=16, current=1, right=52, init=Init.HOLD, **common)
    bench.run([first, second, END])
    assert (bench.get(200, (4, 8), 4) == left @ right + bias).all()
    bench.run([second.replace(init=Init.ZERO), first.replace(init=Init.TILE, init_address=200, init_pitch=4), END])
    assert (bench.get(200, (4, 8), 4) == left @ right).all()


def test_padding_of_a_result_means_nothing(machine):
    bench = machine()
    bench.put(0, _draw(5, 4), 1)
    bench.put(50, _draw(4, 5), 1)
    bench.buffer.defined[200 * 32:216 * 32] = True
    bench.run([_matmul(rows=5, cols=5, k=4, left_pitch=1, right=50, right_pitch=1, acc_pitch=4), END])
    defined = bench.buffer.defined[200 * 32:208 * 32].reshape(2, 4, 8, 4).all(axis=-1)
    assert (defined.reshape(8, 8) == (np.arange(8) < 5)[:, None] & (np.arange(8) < 5)).all()
    assert bench.buffer.defined[208 * 32:216 * 32].all()


@pytest.mark.parametrize(("change", "kind", "words"), [
    ({"k": 65}, Fault.ILLEGAL, "k is 65, at most 64 allowed"),
    ({"left_word": 2}, Fault.ILLEGAL, "left_word is 2, at most 1"),
    ({"right": 4095, "right_pitch": 1}, Fault.ADDRESS, "buffer byte 0x20"),
    ({"accumulators": 4094}, Fault.ADDRESS, "buffer byte 0x2"),
    ({"current": 60}, Fault.UNDEFINED, "nothing has written it"),
    ({"init": Init.HOLD, "rows": 8}, Fault.ILLEGAL, "rows is 8 where init is HOLD, 0..4 allowed"),
    ({"init": Init.HOLD}, Fault.UNDEFINED, "nothing is in the accumulators"),
    ({"right_transposed": 1, "right": 1023}, Fault.ADDRESS, "lines 1023 to 1024 are read transposed, in one bank of"),
    ({"right_transposed": 1, "right": 4095}, Fault.ADDRESS, "buffer byte 0x20"),
    ({"init": Init.TILE, "init_transposed": 1, "init_address": 1020, "init_pitch": 5}, Fault.ADDRESS, "lines 1020 to"),
    ({"unit": 1}, Fault.ILLEGAL, "unit is 1, at most 0 allowed")])
def test_what_the_machine_refuses(machine, change, kind, words):
    bench = machine()
    bench.put(0, _draw(8, 8), 1)
    bench.put(50, _draw(8, 8), 1)
    item = _matmul(rows=4, cols=8, k=8, left_pitch=1, right=50, right_pitch=1, acc_pitch=4)
    with pytest.raises(ProgramError, match=words) as caught:
        bench.run([item.replace(**change), END])
    assert (caught.value.kind, caught.value.index) == (kind, 0)
