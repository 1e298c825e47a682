# SPDX-License-Identifier: Apache-2.0
"""The instruction set as text: disassembler, C header, docs/isa.md (`python -m hw.control.isa_text > docs/isa.md`)."""

from __future__ import annotations

from enum import Enum

from hw.control.isa import BYTES, FORMAT, FORMATS, SEMAPHORE_BITS, SEMAPHORES, Field, Instruction, Opcode

#: Enumerations of the C header: a format, its field, and the constants' prefix.
_ENUMERATIONS = ((Opcode.END, "opcode", "OPCODE"), (Opcode.VECTOR, "op", "VECTOROP"), (Opcode.MATMUL, "init", "INIT"))


def disassemble(item: Instruction) -> str:
    """One line: opcode, then the fields that are not at their default, addresses in hexadecimal."""
    words = [item.opcode.name]
    for field in FORMATS[item.opcode][1:]:
        value = item[field.name]
        if value != field.default or field.kind:
            words.append(f"{field.name}={_shown(field, value)}")
    return " ".join(words)


def _shown(field: Field, value: object) -> str:
    if isinstance(value, Enum):
        return value.name
    if field.name in ("wait", "signal"):
        return "+".join(str(n) for n in range(SEMAPHORES) if value >> n & 1)
    return hex(value) if field.bits >= 32 else str(value)


def c_header() -> str:
    """Constants for software: for each field its byte, first bit and width, and the members of each enumeration."""
    lines = ["/* SPDX-License-Identifier: CC0-1.0 */", "/* Instruction set of vida, written from its definition. */",
             "#ifndef VIDA_ISA_H", "#define VIDA_ISA_H", "", f"#define VIDA_ISA_FORMAT {FORMAT}",
             f"#define VIDA_ISA_BYTES {BYTES}", f"#define VIDA_ISA_SEMAPHORES {SEMAPHORES}", ""]
    for opcode, name, prefix in _ENUMERATIONS:
        field, = (field for field in FORMATS[opcode] if field.name == name)
        lines += [f"#define VIDA_{prefix}_{member.name} {member.value}" for member in field.members] + [""]
    for opcode, fields in FORMATS.items():
        lines.append(f"/* {opcode.name}: byte, first bit in it, bits */")
        lines += [f"#define VIDA_{opcode.name}_{field.name.upper()} {field.byte}, {field.bit}, {field.bits}"
                  for field in fields] + [""]
    return "\n".join([*lines, "#endif", ""])


def markdown() -> str:
    """The page docs/isa.md."""
    parts = [_HEAD.format(bytes=BYTES, format=FORMAT, semaphores=SEMAPHORES, most=(1 << SEMAPHORE_BITS) - 1)]
    for opcode, fields in FORMATS.items():
        if opcode is not Opcode.STORE:
            parts.append(_table("LOAD and STORE" if opcode is Opcode.LOAD else opcode.name, fields))
    return "\n".join(parts)


_HEAD = """\
# Instruction set, format {format}

Written by `python -m hw.control.isa_text` from `hw/control/isa.py`, from which encoder, decoder and C header come
too. An instruction is {bytes} bytes, little-endian; a bit that no field names is 0. Instructions are fetched in
order, and each goes to the queue of its unit: LOAD, STORE, one for each PEG (MATMUL) and VECTOR; a queue keeps its
order, queues do not wait for each other but through {semaphores} semaphores, which count to {most}. An instruction
starts when every semaphore in `wait` is above 0 and takes one of each; when its results are visible it adds one to
each in `signal`. A unit works ahead: it reads the operands of an instruction while the results of the one before are
still on their way, and accumulators and int8 results of MATMULs go two ways, each in its order. So an instruction
needs `fence` where it reads what one before it in its unit writes, and a MATMUL also where it overwrites that. A
MATMUL that emits nothing signals at once, its operands are still being read then. `END` waits for all queues. A value
that is not allowed stops the program with a status; nothing of it is ignored. What a machine allows is narrower than
these tables where its buffer, its lanes or two fields together say so: `hw/control/rules.py`.

A *word* is 16 bytes, a *line* C = ccpes words, a *tile* 4 rows x 4C columns. An int8 tile is one line: byte 16c + 4r
+ q holds row r, column 4c + q. An int16 tile is two lines: line r/2, byte 16c + 8(r%2) + 2q. An int32 tile
(accumulators, sign-extended) is four: line r, byte 16c + 4q. Tile (i, j) of a matrix begins at line base + i * pitch
+ j * (1, 2 or 4). A row of parameters (bias, multipliers, modulation) is int32: line j holds columns 4Cj and on. Rows
and columns beyond a matrix are padding: an instruction that writes a tile may leave anything there.
"""


def _table(title: str, fields: tuple[Field, ...]) -> str:
    lines = [f"## {title}", "", "| byte | bits | field | allowed | what |", "|---|---|---|---|---|"]
    for field in fields:
        span = f"{field.bit + field.bits - 1}:{field.bit}" if field.bits > 1 else str(field.bit)
        allowed = field.allowed
        if field.name == "opcode":
            allowed = ", ".join(f"{opcode.value} {opcode.name}" for opcode in Opcode if FORMATS[opcode] is fields)
        lines.append(f"| {field.byte} | {span} | `{field.name}` | {allowed} | {field.text} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(markdown(), end="")
