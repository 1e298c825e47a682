# SPDX-License-Identifier: Apache-2.0
"""Builder of tasks: products and vector operations on matrices in the buffer, loads and stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from host.allocate import Buffer, Operand, Row
from host.graph import Cost, Task
from host.image import Image
from host.schedule import matmul_cost, move_cost, vector_cost
from hw.config import TILE, MachineConfig
from hw.control.isa import ROW_SUMS, Opcode, VectorOp, instruction
from hw.errors import VidaError
from hw.payloads import Init
from model.exact.machine.matrix import line_bytes
from model.exact.machine.vector import WIDTHS
from model.exact.vector.scaling import Scale


@dataclass(frozen=True)
class Mapping:
    """Row i of an operand is i % inner * inner_stride + i // inner * outer_stride of its matrix."""

    inner: int
    inner_stride: int
    outer_stride: int

    def lines(self, matrix: Operand, rows: int) -> int:
        """As `Operand.lines`, of `rows` mapped rows."""
        i = np.arange(rows)
        mapped = i % self.inner * self.inner_stride + i // self.inner * self.outer_stride
        return sum(matrix.part(row=TILE * int(tile), rows=TILE).lines() for tile in np.unique(mapped // TILE))


class Builder:
    """Tasks in an order that is right if they run one after the other.

    Parameters
    ----------
    config : MachineConfig
    skip : zero digits are skipped
    threshold : digits up to which a segment may go to the sparse lane

    Members
    -------
    tasks : so far
    operator : name that the next tasks get
    """

    def __init__(self, config: MachineConfig, skip: bool, threshold: int) -> None:
        self.config, self.skip, self.threshold = config, skip, threshold
        self.buffer, self.image = Buffer(config), Image()
        self.tasks: list[Task] = []
        self.operator = ""
        self._sums = 0

    def _add(self, opcode: Opcode, fields: dict[str, Any], reads: int, writes: int, cost: Cost) -> None:
        self.tasks.append(Task(opcode, fields, reads, writes, self.operator, cost))

    def move(self, opcode: Opcode, address: int, near: Operand | Row) -> None:
        """LOAD or STORE a whole matrix or row, whose lines lie together at `address` in DRAM."""
        lines = near.lines()
        count, size = lines.bit_count(), line_bytes(self.config.ccpes)
        fields = dict(dram=address, rows=1, lines=count, buffer=near.base)
        reads, writes = (0, lines) if opcode is Opcode.LOAD else (lines, 0)
        self._add(opcode, fields, reads, writes, move_cost(count * size, self.config))

    def matmul(self, left: Operand, right: Operand, unit: int = 0, transposed: bool = False, bias: Row | None = None,
               acc: Operand | None = None, int8: Operand | None = None, scale: Row | None = None,
               shift: int = 0) -> None:
        """left @ right (right^T where it is transposed) + bias, to accumulators, or requantised to int8, or both.

        K beyond the rows of a right slot goes in chunks that add to the accumulators, which are needed then.
        """
        step = self.config.right_rows
        if left.cols > step:
            step -= step % self.config.columns
        for first in range(0, left.cols, step):
            k, last = min(step, left.cols - first), first + step >= left.cols
            init = bias if first == 0 else acc
            part = right.part(col=first, cols=k) if transposed else right.part(row=first, rows=k)
            self._chunk(left.part(col=first, cols=k), part, unit, transposed, init, acc, int8 if last else None, scale,
                        shift)

    def _chunk(self, left: Operand, right: Operand, unit: int, transposed: bool, init: Operand | Row | None,
               acc: Operand | None, int8: Operand | None, scale: Row | None, shift: int) -> None:
        rows, k = left.rows, left.cols
        cols = right.rows if transposed else right.cols
        fields: dict[str, Any] = dict(
            unit=unit, skip=int(self.skip), threshold=self.threshold, rows=rows, cols=cols, k=k, current=left.base,
            left_pitch=left.pitch, left_word=left.word, right=right.base, right_pitch=right.pitch,
            right_transposed=int(transposed), right_word=right.word)
        reads, writes = left.lines() | right.lines(), 0
        if init is not None:
            reads |= init.lines()
            fields |= dict(init=Init.BIAS, init_address=init.base)
            if isinstance(init, Operand):
                fields |= dict(init=Init.TILE, init_pitch=init.pitch)
        if acc is not None:
            writes |= acc.lines()
            fields |= dict(emit_accumulators=1, accumulators=acc.base, acc_pitch=acc.pitch)
        if int8 is not None:
            reads, writes = reads | scale.lines(), writes | int8.lines()
            fields |= dict(emit_int8=1, int8=int8.base, int8_pitch=int8.pitch, scale=scale.base, shift=shift)
        self._add(Opcode.MATMUL, fields, reads, writes, matmul_cost(rows, cols, k, self.config))

    def vector(self, op: VectorOp, x: Operand, out: Operand, y: Operand | None = None, u: Row | None = None,
               v: Row | None = None, one: Scale | None = None, mapping: Mapping | None = None, mapped: str = "",
               rows: int | None = None, sums: int | None = None, **scalars: int) -> None:
        """One VECTOR of `rows` rows (default: all of x); `mapped` names the operands whose rows `mapping` finds."""
        widths = dict(zip(("x", "y", "out"), WIDTHS[op], strict=True))
        rows = rows or x.rows
        fields: dict[str, Any] = dict(op=op, rows=rows, cols=out.cols, **scalars)
        masks = {"x": 0, "y": 0, "out": 0}
        for name, matrix in (("x", x), ("y", y), ("out", out)):
            if matrix is None:
                continue
            if matrix.width != widths[name] or matrix.word:
                raise ValueError(f"{op.name}: {name} of {matrix.width} bytes, word {matrix.word}")
            fields |= {name: matrix.base, f"{name}_pitch": matrix.pitch}
            masks[name] = matrix.lines()
            if name in mapped.split():
                fields[f"{name}_mapped"] = 1
                masks[name] = mapping.lines(matrix, rows)
        if mapping:
            fields |= dict(inner=mapping.inner, inner_stride=mapping.inner_stride, outer_stride=mapping.outer_stride)
        if one:
            fields |= dict(multiplier=one.multipliers[0], shift=one.shift)
        reads, writes = masks["x"] | masks["y"], masks["out"]
        for name, row in (("u", u), ("v", v)):
            if row:
                fields[name] = row.base
                reads |= row.lines()
        if sums is not None:
            fields["sums"] = sums
            entries = (1 << rows) - 1 << self.config.buffers * self.config.buffer_lines + sums
            reads, writes = (reads, writes | entries) if op is VectorOp.SOFTMAX else (reads | entries, writes)
        cost = vector_cost(instruction(Opcode.VECTOR, **fields), self.config)
        self._add(Opcode.VECTOR, fields, reads, writes, cost)

    def row_sums(self, rows: int) -> int:
        """First of `rows` entries of the row-sum memory, used in turn; raises VidaError where it is too short."""
        if rows > ROW_SUMS:
            raise VidaError(f"{self.operator}: softmax of {rows} rows at once, at most {ROW_SUMS} row sums allowed")
        first = self._sums if self._sums + rows <= ROW_SUMS else 0
        self._sums = first + rows
        return first
