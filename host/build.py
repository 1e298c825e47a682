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
from model.exact.machine.matrix import tiles
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
    share : of a product's cycles, that skipping is expected to leave
    bandwidth : bytes a cycle of the memory that the program is for, both ways together

    Members
    -------
    tasks : so far
    operator : name that the next tasks get
    whole : as `share`, of products without a reference; a method may set it
    """

    def __init__(self, config: MachineConfig, skip: bool, threshold: int, share: float,
                 bandwidth: float | None = None) -> None:
        self.config, self.skip, self.threshold, self.share, self.whole = config, skip, threshold, share, share
        self.bandwidth = 2 * config.bus_bytes if bandwidth is None else bandwidth
        self.buffer, self.image = Buffer(config), Image()
        self.tasks: list[Task] = []
        self.operator = ""
        self._sums = 0

    def _add(self, opcode: Opcode, fields: dict[str, Any], reads: int, writes: int, cost: Cost) -> None:
        self.tasks.append(Task(opcode, fields, reads, writes, self.operator, cost))

    def move(self, opcode: Opcode, address: int, near: Operand | Row, piece: int | None = None) -> None:
        """LOAD or STORE a matrix or row, whose lines lie together at `address` in DRAM.

        Moves of one piece, a number, keep their order; those without number must not touch what another writes.
        """
        size, rows, across = self.config.line_bytes, 1, near.lines().bit_count()
        fields: dict[str, Any] = dict(dram=address, buffer=near.base)
        if isinstance(near, Operand) and near.across != near.pitch:
            rows, across = tiles(near.rows, TILE), near.across
            fields |= dict(dram_pitch=across * size, buffer_pitch=near.pitch)
        fields |= dict(rows=rows, lines=across)
        far = 0 if piece is None else 1 << self.config.buffers * self.config.buffer_lines + ROW_SUMS + piece
        reads, writes = (far, near.lines()) if opcode is Opcode.LOAD else (near.lines(), far)
        self._add(opcode, fields, reads, writes, move_cost(rows * across * size, self.config))

    def move_rows(self, address: int, pitch: int, near: Row, each: int) -> None:
        """LOAD lines, `each` of every `pitch` in DRAM, to adjacent ones."""
        size = self.config.line_bytes
        fields = dict(dram=address, dram_pitch=pitch * size, rows=near.count // each, lines=each, buffer=near.base,
                      buffer_pitch=each)
        self._add(Opcode.LOAD, fields, 0, near.lines(), move_cost(near.count * size, self.config))

    def matmul(self, left: Operand, right: Operand, unit: int = 0, transposed: bool = False,
               init: Operand | Row | None = None, init_transposed: bool = False, reference: Operand | None = None,
               acc: Operand | None = None, int8: Operand | None = None, scale: Row | None = None,
               shift: int = 0) -> None:
        """init + (left - reference) @ right (right^T where it is transposed): accumulators, int8, or both.

        `init` is a row (bias) or a matrix. K beyond the rows of a right slot goes in chunks that add to the
        accumulators, which are needed then.
        """
        step = self.config.right_rows
        if left.cols > step:
            step -= step % self.config.columns
        for first in range(0, left.cols, step):
            k, last = min(step, left.cols - first), first + step >= left.cols
            part = right.part(col=first, cols=k) if transposed else right.part(row=first, rows=k)
            fields, reads = self._operands(left.part(col=first, cols=k), part, unit, transposed,
                                           reference and reference.part(col=first, cols=k))
            more, begins = self._init(init if first == 0 else acc, init_transposed and first == 0)
            ends, results, writes = self._results(acc, int8 if last else None, scale, shift)
            share = self.share if reference else self.whole
            cost = matmul_cost(fields["rows"], fields["cols"], k, self.config, share)
            self._add(Opcode.MATMUL, fields | more | ends, reads | begins | results, writes, cost)

    def _operands(self, left: Operand, right: Operand, unit: int, transposed: bool,
                  reference: Operand | None) -> tuple[dict[str, Any], int]:
        """Fields of the operands, and the lines they lie in."""
        fields = dict(
            unit=unit, skip=int(self.skip), threshold=self.threshold, rows=left.rows,
            cols=right.rows if transposed else right.cols, k=left.cols, current=left.base, left_pitch=left.pitch,
            left_word=left.word, right=right.base, right_pitch=right.pitch, right_transposed=int(transposed),
            right_word=right.word)
        reads = left.lines() | right.lines()
        if reference is not None:
            if (reference.pitch, reference.word) != (left.pitch, left.word):
                raise ValueError(f"reference of pitch {reference.pitch}, word {reference.word}, left operand "
                                 f"{left.pitch}, {left.word}")
            fields |= dict(use_reference=1, reference=reference.base)
            reads |= reference.lines()
        return fields, reads

    def _init(self, init: Operand | Row | None, transposed: bool) -> tuple[dict[str, Any], int]:
        if init is None:
            return {}, 0
        if isinstance(init, Row):
            return dict(init=Init.BIAS, init_address=init.base), init.lines()
        return dict(init=Init.TILE, init_address=init.base, init_pitch=init.pitch,
                    init_transposed=int(transposed)), init.lines()

    def _results(self, acc: Operand | None, int8: Operand | None, scale: Row | None,
                 shift: int) -> tuple[dict[str, Any], int, int]:
        """Fields of the results, the lines of the multipliers, the lines that are written."""
        fields: dict[str, Any] = {}
        reads = writes = 0
        if acc is not None:
            writes |= acc.lines()
            fields |= dict(emit_accumulators=1, accumulators=acc.base, acc_pitch=acc.pitch)
        if int8 is not None:
            reads, writes = scale.lines(), writes | int8.lines()
            fields |= dict(emit_int8=1, int8=int8.base, int8_pitch=int8.pitch, scale=scale.base, shift=shift)
        return fields, reads, writes

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

    def passing(self, line: Operand) -> Task:
        """A VECTOR that changes nothing: it snaps the first element of `line`, int8, to itself."""
        fields = dict(op=VectorOp.SNAP, rows=1, cols=1, x=line.base, y=line.base, out=line.base)
        cost = vector_cost(instruction(Opcode.VECTOR, **fields), self.config)
        return Task(Opcode.VECTOR, fields, 0, 0, "relay", cost)

    def row_sums(self, rows: int) -> int:
        """First of `rows` entries of the row-sum memory, used in turn; raises VidaError where it is too short."""
        if rows > ROW_SUMS:
            raise VidaError(f"{self.operator}: softmax of {rows} rows at once, at most {ROW_SUMS} row sums allowed")
        first = self._sums if self._sums + rows <= ROW_SUMS else 0
        self._sums = first + rows
        return first
