# SPDX-License-Identifier: Apache-2.0
"""A program that a person can read: operators with their work, and every instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from host.predict import Span
from host.program import Lowered, Program
from host.schedule import Slot
from hw.config import TILE, MachineConfig
from hw.control.isa import Opcode
from hw.control.isa_text import disassemble
from model.exact.machine.matrix import tiles


@dataclass
class Work:
    """What a program does for one operator.

    Members
    -------
    unit : opcode name
    instructions : how many
    tiles : of results, 4 rows x 4 ccpes columns (MATMUL)
    products : left times right values, zeros included, padding not (MATMUL)
    cycles : predicted, of all its units together
    bytes : to and from DRAM
    """

    unit: str
    instructions: int = 0
    tiles: int = 0
    products: int = 0
    cycles: int = 0
    bytes: int = 0


def work(program: Program, operators: tuple[str, ...], config: MachineConfig) -> dict[str, Work]:
    """By operator, in order of first appearance."""
    found: dict[str, Work] = {}
    for item, slot in zip(program.instructions, program.slots):
        entry = found.setdefault(operators[item["tag"]], Work(item.opcode.name))
        entry.instructions += 1
        entry.cycles += slot.end - slot.start
        if item.opcode is Opcode.MATMUL:
            entry.tiles += tiles(item["rows"], TILE) * tiles(item["cols"], config.columns)
            entry.products += item["rows"] * item["cols"] * item["k"]
        elif item.opcode in (Opcode.LOAD, Opcode.STORE):
            entry.bytes += item["rows"] * item["lines"] * config.line_bytes
    return found


def table(lowered: Lowered) -> str:
    """The step program by operator, as text; cycles are predicted ("modelled"), never measured."""
    lines = [f"{lowered.method} on {lowered.config.name}: {len(lowered.step.instructions)} instructions, "
             f"{lowered.step.cycles} cycles modelled "
             f"({lowered.share:.0%} of the array's work left by skipping), weights "
             + ("stay in the buffer" if lowered.resident else "are loaded every step"),
             f"{'operator':<20}{'unit':>8}{'count':>7}{'tiles':>8}{'products':>12}{'cycles':>10}{'bytes':>9}"]
    for name, entry in work(lowered.step, lowered.operators, lowered.config).items():
        lines.append(f"{name:<20}{entry.unit:>8}{entry.instructions:>7}{entry.tiles:>8}{entry.products:>12}"
                     f"{entry.cycles:>10}{entry.bytes:>9}")
    return "\n".join([*lines, *(f"note: {note}" for note in lowered.notes)])


def instructions(program: Program, operators: tuple[str, ...],
                 slots: Sequence[Slot | Span] | None = None) -> str:
    """Every instruction with its operator and the cycles in which it is predicted to run: those of `slots`, or (None)
    those by which the program was ordered, which know no operands."""
    lines = [f"{n:>5} {slot.start:>8} {slot.end:>8}  {operators[item['tag']]:<20} {disassemble(item)}"
             for n, (item, slot) in enumerate(zip(program.instructions, slots or program.slots))]
    return "\n".join([*lines, f"{len(program.slots):>5} END"])
