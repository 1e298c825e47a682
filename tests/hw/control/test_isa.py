# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.lib import data

from hw.control.isa import BYTES, FORMATS, Instruction, Opcode, VectorOp, decode, encode, instruction, layout
from hw.errors import VidaError
from hw.payloads import Init

FIELDS = [(opcode, field) for opcode in Opcode for field in FORMATS[opcode] if field.name != "opcode"]


def _random(opcode, draw):
    return instruction(opcode, **{
        field.name: draw.choice(field.members) if field.kind
        else draw.randrange(field.low, field.last + 1, 1) // field.step * field.step
        for field in FORMATS[opcode] if field.name != "opcode"})


@pytest.mark.parametrize("opcode", Opcode)
def test_what_is_encoded_is_decoded(opcode):
    draw = random.Random(1)
    for _ in range(100):
        item = _random(opcode, draw)
        code = encode(item)
        assert len(code) == BYTES
        assert decode(code) == item
        bits = data.Const(layout(opcode), int.from_bytes(code, "little"))
        for field in FORMATS[opcode]:
            assert bits[field.name] == field.check(item[field.name])


@pytest.mark.parametrize("opcode", Opcode)
def test_fields_are_apart_and_the_layout_is_whole(opcode):
    taken = [bit for field in FORMATS[opcode] for bit in range(field.position, field.position + field.bits)]
    assert len(taken) == len(set(taken))
    assert max(taken) < 8 * BYTES == layout(opcode).size


@pytest.mark.parametrize(("opcode", "field"), FIELDS, ids=lambda part: getattr(part, "name", None))
def test_every_field_out_of_its_range_is_refused(opcode, field):
    item = instruction(opcode)
    wrong = [field.last + 1, -1] if not field.kind else [max(m.value for m in field.members) + 1]
    wrong += [field.low - 1] if field.low else []
    wrong += [field.low + 1] if field.step > 1 else []
    for value in wrong:
        with pytest.raises(VidaError, match=f"{opcode.name}: {field.name} is {value}: .* allowed"):
            item.replace(**{field.name: value})
        with pytest.raises(VidaError, match=f"{field.name} is {value}"):
            encode(Instruction(opcode, {**item.values, field.name: value}))
        code = int.from_bytes(encode(item), "little")
        if 0 <= value < 1 << field.bits:
            code = code & ~((1 << field.bits) - 1 << field.position) | value << field.position
            with pytest.raises(VidaError, match=f"{field.name} is {value}"):
                decode(code.to_bytes(BYTES, "little"))


@pytest.mark.parametrize("opcode", Opcode)
def test_bits_of_no_field_and_short_code_are_refused(opcode):
    code = encode(instruction(opcode))
    taken = {bit for field in FORMATS[opcode] for bit in range(field.position, field.position + field.bits)}
    for bit in set(range(8 * BYTES)) - taken:
        wrong = bytearray(code)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VidaError, match=f"bit {bit % 8} of byte {bit // 8}"):
            decode(bytes(wrong))
    with pytest.raises(VidaError, match="of 63 bytes, 64 allowed"):
        decode(code[:-1])


def test_an_illegal_opcode_and_an_unknown_field_are_refused():
    for opcode in {0, *range(6, 256)}:
        with pytest.raises(VidaError, match=f"opcode is {opcode}"):
            decode(bytes([opcode]) + bytes(BYTES - 1))
    with pytest.raises(VidaError, match="END has no field 'rows'"):
        instruction(Opcode.END, rows=1)


def test_places_are_those_of_the_contract():
    item = instruction(Opcode.MATMUL, unit=3, wait=0x8001, rows=5, cols=6, k=7, init=Init.HOLD, emit_int8=1,
                       threshold=4, current=0x11223344, shift=39, right_word=7, int8=0xA0B0C0D0, left_word=2)
    code = encode(item)
    assert code[:4] == bytes([4, 3, 1, 128])
    assert (code[8], code[9]) == (0b10011000, 4)
    assert code[10:20] == bytes([5, 0, 6, 0, 7, 0, 0x44, 0x33, 0x22, 0x11])
    assert (code[38], code[39], code[56]) == (39, 7, 2)
    assert code[52:56] == bytes([0xD0, 0xC0, 0xB0, 0xA0])
    vector = encode(instruction(Opcode.VECTOR, op=VectorOp.GELU, epsilon=1 << 40, shift=5, shift2=6))
    assert (vector[8], vector[53], vector[58], vector[59]) == (5, 1, 5, 6)
