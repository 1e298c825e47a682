# SPDX-License-Identifier: Apache-2.0
"""What one machine refuses of the instruction set: lower limits of its fields, and rules over several fields.

The hardware's decoder and the law (`model.exact.machine.executor`) both follow this data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hw.config import TILE, Lane, MachineConfig
from hw.control.isa import FORMATS, ROW_SUMS, Instruction, Opcode, VectorOp
from hw.payloads import Init
from hw.vector.operations import BRANCH_FRACTION_MAX, THRESHOLD_MAX, TOKENS_MAX, WIDTH_MAX

#: Fields that hold a line address of the buffer.
PLACES = {"buffer", "table", "current", "reference", "right", "init_address", "scale", "accumulators", "int8", "x", "y",
          "out", "u", "v"}


@dataclass(frozen=True)
class Rule:
    """Where `field` is one of `values`, the sum of `others` is in `low`..`high` (None: no limit), odd where said so."""

    opcode: Opcode
    field: str
    values: tuple[int, ...]
    others: tuple[str, ...]
    low: int = 0
    high: int | None = None
    odd: bool = False

    @property
    def allowed(self) -> str:
        """The allowed sums, in words."""
        if self.odd:
            return "an odd one"
        return f"at least {self.low}" if self.high is None else f"{self.low}..{self.high}"


def limits(config: MachineConfig) -> dict[str, int]:
    """Highest values that this machine allows in a field, where they are below the instruction set's."""
    lines = config.buffers * config.buffer_lines
    found = {name: lines - 1 for name in PLACES}
    found |= {"k": config.right_rows, "right_word": config.ccpes - 1, "left_word": config.ccpes - 1,
              "sums": ROW_SUMS - 1}
    if config.lane is Lane.NATIVE:
        found["use_reference"] = 0
    return found


def steps(config: MachineConfig) -> dict[str, int]:
    """Fields whose values are multiples, powers of two, of more than the instruction set asks for."""
    each = config.scan if config.lane is Lane.DIGIT else config.depth
    # A beat of the left operand lies in one line, and begins at a multiple of its columns.
    return {"dram": config.line_bytes, "dram_pitch": config.line_bytes, "left_word": max(1, each // TILE)}


def rules(config: MachineConfig) -> list[Rule]:
    """Rules over several fields."""
    def when(op: VectorOp, *others: str, low: int = 0, high: int | None = None) -> Rule:
        return Rule(Opcode.VECTOR, "op", (op.value,), others, low, high)

    def turned(opcode: Opcode, field: str, pitch: str) -> list[Rule]:
        # The words of a transposed read lie in different memories of a bank only if the pitch is odd.
        return [Rule(opcode, field, (1,), (pitch,), odd=True)] if config.ccpes > 1 else []

    hold = Init.HOLD.value,
    return [
        when(VectorOp.LAYERNORM, "cols", high=WIDTH_MAX), when(VectorOp.LAYERNORM, "epsilon", low=1),
        when(VectorOp.SOFTMAX, "cols", high=TOKENS_MAX), when(VectorOp.RESIDUAL, "shift2", high=BRANCH_FRACTION_MAX),
        when(VectorOp.SNAP, "epsilon", high=THRESHOLD_MAX),
        *(when(op, "sums", "rows", high=ROW_SUMS) for op in (VectorOp.SOFTMAX, VectorOp.NORMALISE)),
        # Those of accumulators: SOFTMAX, NORMALISE, GELU, RESIDUAL.
        Rule(Opcode.VECTOR, "x_transposed", (1,), ("op",), VectorOp.SOFTMAX.value, VectorOp.RESIDUAL.value),
        *turned(Opcode.VECTOR, "x_transposed", "x_pitch"), *turned(Opcode.MATMUL, "right_transposed", "right_pitch"),
        *turned(Opcode.MATMUL, "init_transposed", "init_pitch"),
        Rule(Opcode.MATMUL, "init_transposed", (1,), ("init",), Init.TILE.value, Init.TILE.value),
        Rule(Opcode.MATMUL, "init", hold, ("rows",), high=TILE),
        Rule(Opcode.MATMUL, "init", hold, ("cols",), high=config.columns)]


def refusal(item: Instruction, config: MachineConfig) -> str | None:
    """Why this machine refuses an instruction of the set, naming the value and what is allowed; None: it does not."""
    def bits(name: str) -> int:
        value = item[name]
        return value.value if isinstance(value, Enum) else value

    high, multiples = limits(config), steps(config)
    high["unit"] = config.pegs - 1 if item.opcode is Opcode.MATMUL else 0
    for field in FORMATS[item.opcode]:
        value = bits(field.name)
        if value > high.get(field.name, value):
            return f"{field.name} is {value}, at most {high[field.name]} allowed"
        if value % multiples.get(field.name, 1):
            return f"{field.name} is {value:#x}, a multiple of {multiples[field.name]} allowed"
    for rule in rules(config):
        if item.opcode is rule.opcode and bits(rule.field) in rule.values:
            value = sum(bits(name) for name in rule.others)
            if value < rule.low or (rule.high is not None and value > rule.high) or (rule.odd and not value & 1):
                kind = item[rule.field]
                kind = kind.name if isinstance(kind, Enum) else kind
                return f"{' + '.join(rule.others)} is {value} where {rule.field} is {kind}, {rule.allowed} allowed"
    return None
