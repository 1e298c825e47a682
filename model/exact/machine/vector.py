# SPDX-License-Identifier: Apache-2.0
"""Law of the VECTOR instruction: the operations of `model.exact.vector` on rows in the buffer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hw.config import TILE, MachineConfig
from hw.control.isa import Instruction, VectorOp
from hw.numerics import MULTIPLIER_BITS, wrap
from model.exact.machine.matmul import check_turned, write_padded
from model.exact.machine.matrix import Matrix, row_addresses
from model.exact.machine.store import Fault, Later, ProgramError
from model.exact.vector.gelu import GeluParams, gelu
from model.exact.vector.layernorm import LayerNormParams, layernorm
from model.exact.vector.residual import ResidualParams, residual
from model.exact.vector.scaling import Scale, requantise8
from model.exact.vector.softmax import normalise, softmax
from model.exact.vector.tables import build_tables

#: op -> bytes of an element of x, y (0: unused) and the output.
WIDTHS: dict[VectorOp, tuple[int, int, int]] = {
    VectorOp.REQUANTISE16: (2, 0, 1), VectorOp.LAYERNORM: (2, 0, 1), VectorOp.SOFTMAX: (4, 0, 1),
    VectorOp.NORMALISE: (4, 0, 1), VectorOp.GELU: (4, 0, 1), VectorOp.RESIDUAL: (4, 2, 2), VectorOp.SNAP: (1, 1, 1)}

#: The highest number of a mapped row.
ROW_MAX = 65535


class VectorLaw:
    """The vector unit of a machine; `sums` is its memory of row sums, int32 each."""

    def __init__(self, buffer: Later, sums: Later, config: MachineConfig) -> None:
        self.buffer, self.sums, self.config, self.ccpes = buffer, sums, config, config.ccpes
        self.tables = build_tables()

    def run(self, item: Instruction) -> None:
        """Run one VECTOR instruction on the buffer."""
        op, cols = item["op"], item["cols"]
        out = self._apply(op, item, torch.from_numpy(self._operand(item, "x", WIDTHS[op][0])))
        matrix = Matrix(item["out"], item["out_pitch"], WIDTHS[op][2], self.ccpes)
        write_padded(self.buffer, matrix, self._rows(item, "out"), out.numpy()[:, :cols], self.ccpes)

    def _rows(self, item: Instruction, operand: str) -> np.ndarray:
        row = np.arange(item["rows"])
        if not item[f"{operand}_mapped"]:
            return row
        row = row % item["inner"] * item["inner_stride"] + row // item["inner"] * item["outer_stride"]
        if (highest := int(row.max())) > ROW_MAX:
            raise ProgramError(Fault.ADDRESS, f"VECTOR: row {highest} of {operand}, at most {ROW_MAX} allowed")
        return row

    def _operand(self, item: Instruction, name: str, width: int) -> np.ndarray:
        matrix = Matrix(item[name], item[f"{name}_pitch"], width, self.ccpes)
        rows, cols = self._rows(item, name), np.arange(item["cols"])
        if name == "x" and item["x_transposed"]:
            lines = np.unique(rows // self.config.columns)[:, None] * TILE + np.arange(TILE)
            check_turned(self.buffer, matrix, len(cols), lines.ravel(), self.config)
            return np.ascontiguousarray(self.buffer.read(matrix.addresses(cols, rows), width).T)
        return self.buffer.read(matrix.addresses(rows, cols), width)

    def _row(self, item: Instruction, name: str) -> Tensor:
        return torch.from_numpy(self.buffer.read(row_addresses(item[name], item["cols"], self.ccpes), 4))

    def _scales(self, item: Instruction) -> Scale:
        multipliers = self._row(item, "u") & (1 << MULTIPLIER_BITS) - 1
        return Scale(tuple(multipliers.tolist()), item["shift"])

    def _entries(self, item: Instruction) -> np.ndarray:
        """Byte addresses of the rows' sums."""
        return 4 * np.arange(item["sums"], item["sums"] + item["rows"])

    def _apply(self, op: VectorOp, item: Instruction, x: Tensor) -> Tensor:
        one = Scale((item["multiplier"],), item["shift"])
        match op:
            case VectorOp.REQUANTISE16:
                return requantise8(x, one)
            case VectorOp.LAYERNORM:
                scale, shift = wrap(self._row(item, "u"), 16), wrap(self._row(item, "v"), 16)
                return layernorm(x, scale, shift, LayerNormParams(item["epsilon"], one), self.tables.rsqrt)
            case VectorOp.SOFTMAX:
                entries = self._entries(item)
                p, total = softmax(x, one, self.tables.exp2)
                self.sums.write(entries, total.numpy(), 4)
                return p
            case VectorOp.NORMALISE:
                return self._normalise(item, x)
            case VectorOp.GELU:
                params = GeluParams(self._scales(item), Scale((item["multiplier"],), item["shift2"]))
                return gelu(x, params, self.tables.gelu)
            case VectorOp.RESIDUAL:
                stream = torch.from_numpy(self._operand(item, "y", 2))
                params = ResidualParams(self._scales(item), item["shift2"])
                return residual(stream, wrap(self._row(item, "v"), 16), x, params)
        y = torch.from_numpy(self._operand(item, "y", 1))
        return torch.where((x - y).abs() <= item["epsilon"], y, x)

    def _normalise(self, item: Instruction, x: Tensor) -> Tensor:
        total = torch.from_numpy(self.sums.read(self._entries(item), 4))
        return normalise(x, total, self._scales(item), self.tables.reciprocal)


def beats(item: Instruction, lanes: int) -> int:
    """Beats of x that the unit takes: rows of LAYERNORM and SOFTMAX pass twice."""
    passes = 2 if item["op"] in (VectorOp.LAYERNORM, VectorOp.SOFTMAX) else 1
    return passes * item["rows"] * -(-item["cols"] // lanes)
