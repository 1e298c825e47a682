# SPDX-License-Identifier: Apache-2.0
"""Law of the MATMUL instruction."""

from __future__ import annotations

import numpy as np

from hw.config import TILE, MachineConfig
from hw.control.isa import Instruction
from hw.numerics import MULTIPLIER_BITS, requantise, wrap
from hw.payloads import Init
from model.exact.machine.matrix import Matrix, row_addresses, tiles
from model.exact.machine.store import Fault, Later, ProgramError

#: A tile that stays in the accumulators of a group, (rows, cols).
Held = np.ndarray | None


def _whole(store: Later, matrix: Matrix, rows: int, cols: int) -> None:
    """The machine reads whole tiles: they must lie inside, padding too."""
    store.check(matrix.lines(rows, cols) * 16 * matrix.ccpes, 16 * matrix.ccpes)


def _read(store: Later, matrix: Matrix, rows: int, cols: int, first_col: int = 0) -> np.ndarray:
    _whole(store, matrix, rows, first_col + cols)
    return store.read(matrix.addresses(np.arange(rows), first_col + np.arange(cols)), matrix.width)


def check_turned(store: Later, matrix: Matrix, rows: int, across: np.ndarray, config: MachineConfig) -> None:
    """Raise `ProgramError` where a transposed read leaves the buffer, or the bank in which it begins."""
    size, lines = 16 * config.ccpes, matrix.turned_lines(rows, across)
    store.check(lines * size, size)
    crosses = lines[lines[:, 0] // config.buffer_lines != lines[:, -1] // config.buffer_lines]
    if len(crosses):
        message = f"lines {crosses[0, 0]} to {crosses[0, -1]} are read transposed, in one bank of {config.buffer_lines}"
        raise ProgramError(Fault.ADDRESS, f"{message} allowed")


def write_padded(store: Later, matrix: Matrix, rows: np.ndarray, values: np.ndarray, ccpes: int) -> None:
    """Write (len(rows), N) elements; the rest of the last slice of 4 x ccpes columns may be anything."""
    cols = values.shape[1]
    padded = TILE * ccpes * tiles(cols, TILE * ccpes)
    addresses = matrix.addresses(rows, np.arange(padded))
    if padded > cols:
        store.undefine(addresses[:, cols:], matrix.width)
    store.write(addresses[:, :cols], values, matrix.width)


def _write(store: Later, matrix: Matrix, values: np.ndarray) -> None:
    rows = values.shape[0]
    beyond = np.arange(rows, TILE * tiles(rows, TILE))
    if len(beyond):
        width = TILE * matrix.ccpes * tiles(values.shape[1], TILE * matrix.ccpes)
        store.undefine(matrix.addresses(beyond, np.arange(width)), matrix.width)
    write_padded(store, matrix, np.arange(rows), values, matrix.ccpes)


def _read_turned(store: Later, matrix: Matrix, rows: int, cols: int, config: MachineConfig,
                 first_col: int = 0) -> np.ndarray:
    across = np.arange(matrix.width * tiles(first_col + cols, config.columns))
    check_turned(store, matrix, rows, across, config)
    return _read(store, matrix, rows, cols, first_col).T


def _init(item: Instruction, buffer: Later, held: Held, config: MachineConfig) -> np.ndarray | int:
    rows, cols, ccpes = item["rows"], item["cols"], config.ccpes
    match item["init"]:
        case Init.ZERO:
            return 0
        case Init.BIAS:
            return buffer.read(row_addresses(item["init_address"], cols, ccpes), 4)
        case Init.TILE:
            matrix = Matrix(item["init_address"], item["init_pitch"], 4, ccpes)
            if item["init_transposed"]:
                return _read_turned(buffer, matrix, cols, rows, config)
            return _read(buffer, matrix, rows, cols)
    if held is None or held.shape != (rows, cols):
        found = "nothing" if held is None else f"{held.shape[0]} x {held.shape[1]}"
        raise ProgramError(Fault.UNDEFINED, f"HOLD of a {rows} x {cols} tile: {found} is in the accumulators")
    return held


def left_operands(item: Instruction, buffer: Later, ccpes: int) -> tuple[np.ndarray, np.ndarray]:
    """Left operand and its reference (zeros where there is none), (M, K) each."""
    shape = item["rows"], item["k"], TILE * item["left_word"]
    left = _read(buffer, Matrix(item["current"], item["left_pitch"], 1, ccpes), *shape)
    if not item["use_reference"]:
        return left, np.zeros_like(left)
    return left, _read(buffer, Matrix(item["reference"], item["left_pitch"], 1, ccpes), *shape)


def _right(item: Instruction, buffer: Later, config: MachineConfig) -> np.ndarray:
    matrix = Matrix(item["right"], item["right_pitch"], 1, config.ccpes)
    if item["right_transposed"]:
        return _read_turned(buffer, matrix, item["cols"], item["k"], config, TILE * item["right_word"])
    return _read(buffer, matrix, item["k"], item["cols"])


def matmul(item: Instruction, buffer: Later, held: Held, config: MachineConfig) -> Held:
    """Run one MATMUL on `buffer`; returns what its last tile leaves in the accumulators.

    result = wrap(init + (current - reference) @ right, acc_bits), (M, N). Accumulators and their init may be the same
    matrix, other results may not overlap operands.
    """
    ccpes = config.ccpes
    (current, reference), right = left_operands(item, buffer, ccpes), _right(item, buffer, config)
    product = ((current - reference).astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    result = wrap(product + _init(item, buffer, held, config), config.acc_bits)
    if item["emit_accumulators"]:
        _write(buffer, Matrix(item["accumulators"], item["acc_pitch"], 4, ccpes), result)
    if item["emit_int8"]:
        scale = buffer.read(row_addresses(item["scale"], item["cols"], ccpes), 4) & (1 << MULTIPLIER_BITS) - 1
        _write(buffer, Matrix(item["int8"], item["int8_pitch"], 1, ccpes), requantise(result, scale, item["shift"]))
    rows, cols = result.shape
    return result[TILE * (tiles(rows, TILE) - 1):, TILE * ccpes * (tiles(cols, TILE * ccpes) - 1):]
