# SPDX-License-Identifier: Apache-2.0
"""The machine's registers, defined once as data: the hardware, a C header and docs/registers.md follow.

`python -m hw.control.register_map > docs/registers.md` writes the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from hw.control.fault import Access, FaultKind
from hw.control.isa import FORMAT

#: Bytes of the register space, and where the counters begin in it.
SPACE, COUNTERS = 4096, 0x100
#: Version of this map; a driver refuses another one.
MAP_FORMAT = 1
#: "VIDA" as bytes in memory.
MAGIC = int.from_bytes(b"VIDA", "little")


@dataclass(frozen=True)
class Bits:
    """A field of a register: `width` bits from bit `low` on; `kind` names its values."""

    name: str
    low: int
    width: int
    text: str
    kind: type | None = None


@dataclass(frozen=True)
class Register:
    """A 32-bit register. `access`: "ro" read only, "rw" read and written, by bytes."""

    name: str
    offset: int
    access: str
    reset: int
    text: str
    bits: tuple[Bits, ...] = ()


REGISTERS: tuple[Register, ...] = (
    Register("magic", 0x00, "ro", MAGIC, "the bytes VIDA"),
    Register("version", 0x04, "ro", MAP_FORMAT << 16 | FORMAT, "formats", (
        Bits("isa", 0, 16, "of the instruction set"), Bits("map", 16, 16, "of this map"))),
    Register("control", 0x08, "rw", 0, "commands, which read as 0, and settings", (
        Bits("start", 0, 1, "1: run the program; while running, or before a fault is cleared, refused"),
        Bits("clear", 1, 1, "1: forget done, refused and fault; while running, end the program first"),
        Bits("interrupt", 2, 1, "interrupt while status has done or a fault, and not running"))),
    Register("status", 0x0C, "ro", 0, "what the program came to", (
        Bits("running", 0, 1, "started, and not yet done or brought to rest"),
        Bits("done", 1, 1, "the last program came to its END"),
        Bits("refused", 2, 1, "a start was refused since the last clear"),
        Bits("kind", 4, 4, "fault", FaultKind), Bits("access", 8, 4, "what met it", Access),
        Bits("tag", 16, 16, "tag of the instruction that met it"))),
    Register("fault_low", 0x10, "ro", 0, "address of the fault: a byte in DRAM, or a line of the buffer"),
    Register("fault_high", 0x14, "ro", 0, "its upper half"),
    Register("program_low", 0x18, "rw", 0, "byte address of the first instruction; the low six bits are taken as 0"),
    Register("program_high", 0x1C, "rw", 0, "its upper half"),
    Register("length", 0x20, "rw", 0, "instructions of the program; none behind them is fetched"),
    Register("cycles_low", 0x24, "ro", 0, "cycles of the last program, from start to rest; read while not running"),
    Register("cycles_high", 0x28, "ro", 0, "its upper half"))


def counter_registers(counters: Mapping[str, int]) -> tuple[Register, ...]:
    """Registers of counters, name -> bits, from COUNTERS on; more than 32 bits take two, low and high.

    Raises ValueError where they do not fit.
    """
    found: list[Register] = []
    for name, bits in counters.items():
        parts = [(name, "")] if bits <= 32 else [(f"{name}_low", ""), (f"{name}_high", ", upper half")]
        for part, half in parts:
            found.append(Register(part, COUNTERS + 4 * len(found), "ro", 0, f"counter {name}{half}"))
    if COUNTERS + 4 * len(found) > SPACE:
        raise ValueError(f"{len(found)} counter registers, at most {(SPACE - COUNTERS) // 4} fit")
    return tuple(found)


def c_header(counters: Mapping[str, int]) -> str:
    """Offsets, masks and values for software; `counters` as in `counter_registers`."""
    lines = ["/* SPDX-License-Identifier: CC0-1.0 */", "/* Registers of vida, written from their definition. */",
             "#ifndef VIDA_REGISTERS_H", "#define VIDA_REGISTERS_H", "", f"#define VIDA_MAGIC 0x{MAGIC:08x}u",
             f"#define VIDA_MAP_FORMAT {MAP_FORMAT}", ""]
    for register in (*REGISTERS, *counter_registers(counters)):
        lines.append(f"#define VIDA_REG_{register.name.upper()} 0x{register.offset:03x}u")
        for field in register.bits:
            name = f"VIDA_{register.name.upper()}_{field.name.upper()}"
            lines.append(f"#define {name}_SHIFT {field.low}")
            lines.append(f"#define {name}_MASK 0x{(1 << field.width) - 1 << field.low:08x}u")
    for kind in (FaultKind, Access):
        lines += ["", *(f"#define VIDA_{_stem(kind)}_{member.name} {member.value}" for member in kind)]
    return "\n".join([*lines, "", "#endif", ""])


def _stem(kind: type[Enum]) -> str:
    return {FaultKind: "FAULT", Access: "ACCESS"}[kind]


def markdown() -> str:
    """The page docs/registers.md."""
    lines = [_HEAD, "| offset | register | access | reset | what |", "|---|---|---|---|---|"]
    for register in REGISTERS:
        lines.append(f"| 0x{register.offset:02x} | `{register.name}` | {register.access} | 0x{register.reset:x} | "
                     f"{register.text} |")
    for register in REGISTERS:
        if register.bits:
            lines += ["", f"## {register.name}", "", "| bits | field | what |", "|---|---|---|"]
            lines += [_field(field) for field in register.bits]
    return "\n".join([*lines, ""])


def _field(field: Bits) -> str:
    span = f"{field.low + field.width - 1}:{field.low}" if field.width > 1 else str(field.low)
    values = ": " + ", ".join(f"{member.value} {member.name}" for member in field.kind) if field.kind else ""
    return f"| {span} | `{field.name}` | {field.text}{values} |"


_HEAD = f"""\
# Registers, format {MAP_FORMAT}

Written by `python -m hw.control.register_map` from `hw/control/register_map.py`, from which the hardware and the C
header come too. AXI4-Lite, 32 bits, little-endian, {SPACE} bytes. The low two bits of an address are ignored. An
offset without a register answers SLVERR, as does writing one that is read only. From 0x{COUNTERS:x} on lie the
counters of the machine, in the order of its C header; wide ones take two registers, low half first.
"""


if __name__ == "__main__":
    print(markdown(), end="")
