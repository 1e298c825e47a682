# SPDX-License-Identifier: Apache-2.0
"""The instruction set, defined once as data: encoder, decoder, hardware layouts and (`isa_text`) documents follow.

An instruction is 64 bytes, little-endian; bits that no field names are zero. docs/isa.md is the table of this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum as PlainEnum
from functools import cached_property
from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data, enum

from hw.config import TILE
from hw.errors import VidaError
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX
from hw.payloads import Init
from hw.vector.operations import Op as VectorOp

#: Version of the encoding, in every memory image and in the machine's version register; bytes of an instruction.
FORMAT, BYTES = 1, 64
#: Contexts; counting semaphores of a context, and the width of each count.
CONTEXTS = 1
SEMAPHORES, SEMAPHORE_BITS = 16, 8
#: Entries of the row-sum memory that SOFTMAX writes and NORMALISE reads.
ROW_SUMS = 1024


class Opcode(enum.Enum, shape=8):
    """What an instruction is; every other value, 0 among them, is illegal."""

    END = 1  #: all queues empty and all units idle: the program is done
    LOAD = 2  #: DRAM to buffer
    STORE = 3  #: buffer to DRAM
    MATMUL = 4  #: one PEG: result = init + (current - reference) @ right
    VECTOR = 5  #: rows through the vector unit


@dataclass(frozen=True)
class Field:
    """One field of an instruction.

    It begins at bit `bit` of byte `byte`. `low`..`high` (None: what the width holds) are allowed, multiples of `step`;
    or the `members` of `kind`: those that are not below `low`.
    """

    name: str
    byte: int
    bits: int
    text: str
    bit: int = 0
    low: int = 0
    high: int | None = None
    step: int = 1
    kind: type | None = None

    @property
    def position(self) -> int:
        """Place of the lowest bit in the 512."""
        return 8 * self.byte + self.bit

    @property
    def last(self) -> int:
        """The highest allowed value."""
        return (1 << self.bits) - 1 if self.high is None else self.high

    @property
    def default(self) -> Any:
        """The value of a field that is not given: its lowest."""
        return self.members[0] if self.kind else self.low

    @cached_property
    def members(self) -> tuple[PlainEnum, ...]:
        """The allowed members of an enumerated field."""
        return tuple(member for member in self.kind or () if member.value >= self.low)

    @cached_property
    def _numbers(self) -> frozenset[int]:
        return frozenset(member.value for member in self.members)

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.kind:
            return ", ".join(f"{member.value} {member.name}" for member in self.members)
        return f"{self.low}..{self.last}" + (f", a multiple of {self.step}" if self.step > 1 else "")

    def check(self, value: Any) -> int:
        """`value` as its bits; raises VidaError naming value and range where it is not allowed."""
        number = value.value if isinstance(value, PlainEnum) else value
        legal = isinstance(number, int) and self.low <= number <= self.last and number % self.step == 0
        if not legal or (self.kind and number not in self._numbers):
            raise VidaError(f"{self.name} is {value}: {self.allowed} allowed")
        return int(number)


def _common(units: int = 1) -> tuple[Field, ...]:
    return (Field("opcode", 0, 8, "what the instruction is", kind=Opcode),
            Field("unit", 1, 5, "index among the units of its kind", high=units - 1),
            Field("context", 1, 2, "context: whose semaphores and counters", bit=5, high=CONTEXTS - 1),
            Field("fence", 1, 1, "starts only when all before it in its unit are complete", bit=7),
            Field("wait", 2, 16, "semaphores that must be above 0; one is taken of each as it starts"),
            Field("signal", 4, 16, "semaphores to which one is added as it completes"),
            Field("tag", 6, 16, "the operator it belongs to; counters are kept by tag"))


_MOVE = (*_common(),
         Field("dram", 8, 64, "byte address in DRAM, a multiple of the line", step=16),
         Field("dram_pitch", 16, 32, "bytes from a row to the next, a multiple of the line", step=16),
         Field("rows", 20, 16, "rows", low=1),
         Field("lines", 22, 16, "lines of a row", low=1),
         Field("buffer", 24, 32, "line address in the buffer"),
         Field("buffer_pitch", 28, 16, "lines from a row to the next in the buffer"),
         Field("use_table", 30, 1, "row r lies at dram + table[r] * dram_pitch"),
         Field("table", 32, 32, "line address of the table: int32, 4C a line"))

_MATMUL = (*_common(units=16),
           Field("use_reference", 8, 1, "a reference is subtracted from current"),
           Field("skip", 8, 1, "zero digits are skipped", bit=1),
           Field("right_transposed", 8, 1, "the right matrix in memory is (N, K)", bit=2),
           Field("init", 8, 2, "what the accumulators begin with", bit=3, kind=Init),
           Field("init_transposed", 8, 1, "the init matrix in memory is (N, M)", bit=5),
           Field("emit_accumulators", 8, 1, "accumulators are written", bit=6),
           Field("emit_int8", 8, 1, "requantised results are written", bit=7),
           Field("threshold", 9, 3, "digits up to which a segment may go to the sparse lane", high=TILE),
           Field("rows", 10, 16, "M: rows of the result", low=1),
           Field("cols", 12, 16, "N: columns of the result", low=1),
           Field("k", 14, 16, "K: at most right_rows", low=1, high=8192),
           Field("current", 16, 32, "left operand int8: tile (i, kb) at + i * left_pitch + kb"),
           Field("reference", 20, 32, "its reference, same pitch"),
           Field("left_pitch", 24, 16, "lines from a tile row to the next"),
           Field("right_pitch", 26, 16, "the same of the right matrix as it lies in memory"),
           Field("right", 28, 32, "right operand int8, (K, N), or (N, K) if transposed"),
           Field("init_address", 32, 32, "bias row int32, or accumulators (M, N), or (N, M) if transposed"),
           Field("init_pitch", 36, 16, "lines from a tile row of the init to the next"),
           Field("shift", 38, 8, "right shift of the requantiser", high=SHIFT_MAX),
           Field("right_word", 39, 8, "first word in its line of a transposed right operand, below C", high=7),
           Field("scale", 40, 32, "row of the requantiser's multipliers, int32"),
           Field("accumulators", 44, 32, "where accumulators go: + i * acc_pitch + 4j"),
           Field("acc_pitch", 48, 16, "lines from a tile row to the next"),
           Field("int8_pitch", 50, 16, "lines from a tile row to the next"),
           Field("int8", 52, 32, "where requantised results go: + i * int8_pitch + j"),
           Field("left_word", 56, 8, "first word of the left operand in its line, below C", high=7))

_VECTOR = (*_common(),
           Field("op", 8, 8, "what is done with a row", low=1, kind=VectorOp),
           Field("x_mapped", 9, 1, "row i of x is mapped(i)"),
           Field("y_mapped", 9, 1, "row i of y is mapped(i)", bit=1),
           Field("out_mapped", 9, 1, "row i of the output is mapped(i)", bit=2),
           Field("x_transposed", 9, 1, "x in memory is (cols, rows); accumulators only", bit=3),
           Field("rows", 10, 16, "rows", low=1),
           Field("cols", 12, 16, "columns of a row", low=1),
           Field("inner", 14, 16, "mapped(i) = i % inner * inner_stride + i / inner * outer_stride", low=1),
           Field("inner_stride", 16, 16, "see inner"),
           Field("outer_stride", 18, 16, "see inner"),
           Field("x", 20, 32, "first operand"),
           Field("y", 24, 32, "second operand"),
           Field("out", 28, 32, "result"),
           Field("x_pitch", 32, 16, "lines from a tile row to the next"),
           Field("y_pitch", 34, 16, "the same of y"),
           Field("out_pitch", 36, 16, "the same of the result"),
           Field("sums", 38, 16, "first entry of the row-sum memory (SOFTMAX, NORMALISE)"),
           Field("u", 40, 32, "int32 row: multipliers, or LAYERNORM's scale"),
           Field("v", 44, 32, "int32 row: LAYERNORM's shift, or RESIDUAL's gate"),
           Field("epsilon", 48, 64, "LAYERNORM: variance epsilon; SNAP: threshold", high=(1 << 54) - 1),
           Field("multiplier", 56, 16, "of the output, or of SOFTMAX's scores", high=(1 << MULTIPLIER_BITS) - 1),
           Field("shift", 58, 8, "first right shift", high=SHIFT_MAX),
           Field("shift2", 59, 8, "GELU: right shift of the output; RESIDUAL: fraction bits, 0..8", high=SHIFT_MAX))

#: Fields of each opcode's instructions, in order of place.
FORMATS: dict[Opcode, tuple[Field, ...]] = {
    Opcode.END: _common(), Opcode.LOAD: _MOVE, Opcode.STORE: _MOVE, Opcode.MATMUL: _MATMUL, Opcode.VECTOR: _VECTOR}


@dataclass(frozen=True)
class Instruction:
    """One instruction: every field of its format by name, enumerated ones as members; see `instruction`."""

    opcode: Opcode
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def replace(self, **changes: Any) -> Instruction:
        """A checked copy with some fields changed."""
        return instruction(**{**self.values, **changes})


def instruction(opcode: Opcode, **values: Any) -> Instruction:
    """An instruction whose fields not given are at their lowest; raises VidaError for an unknown or illegal one."""
    fields = {field.name: field for field in FORMATS[opcode]}
    for name in values:
        if name not in fields:
            raise VidaError(f"{opcode.name} has no field {name!r}: {', '.join(fields)} allowed")
    whole = {name: values.get(name, field.default) for name, field in fields.items()} | {"opcode": opcode}
    for name, field in fields.items():
        _in_format(field, whole[name], opcode)
    return Instruction(opcode, whole)


def _in_format(field: Field, value: Any, opcode: Opcode) -> int:
    try:
        return field.check(value)
    except VidaError as error:
        raise VidaError(f"{opcode.name}: {error}") from None


def encode(item: Instruction) -> bytes:
    """The 64 bytes; raises VidaError where a field is out of its range."""
    total = 0
    for field in FORMATS[item.opcode]:
        total |= _in_format(field, item[field.name], item.opcode) << field.position
    return total.to_bytes(BYTES, "little")


def decode(code: bytes) -> Instruction:
    """The instruction in 64 bytes; raises VidaError for an illegal one, as the machine reports it."""
    if len(code) != BYTES:
        raise VidaError(f"instruction of {len(code)} bytes, {BYTES} allowed")
    total, values = int.from_bytes(code, "little"), {}
    if code[0] not in {opcode.value for opcode in Opcode}:
        raise VidaError(f"opcode is {code[0]}: {FORMATS[Opcode.END][0].allowed} allowed")
    opcode = Opcode(code[0])
    for field in FORMATS[opcode]:
        value = total >> field.position & (1 << field.bits) - 1
        total ^= value << field.position
        _in_format(field, value, opcode)
        values[field.name] = field.kind(value) if field.kind else value
    if total:
        place = (total & -total).bit_length() - 1
        raise VidaError(f"{opcode.name}: bit {place % 8} of byte {place // 8} is 1, it belongs to no field")
    return Instruction(opcode, values)


def layout(opcode: Opcode) -> data.StructLayout:
    """The 512 bits of a format for hardware; bits between fields are members `zero_<position>`."""
    place, members = 0, {}
    for field in (*FORMATS[opcode], None):
        start = 8 * BYTES if field is None else field.position
        if start > place:
            members[f"zero_{place}"] = unsigned(start - place)
        if field is not None:
            members[field.name] = unsigned(field.bits)
            place = start + field.bits
    return data.StructLayout(members)
