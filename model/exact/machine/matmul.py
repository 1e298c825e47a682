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


def _init(item: Instruction, buffer: Later, held: Held, ccpes: int) -> np.ndarray | int:
    rows, cols = item["rows"], item["cols"]
    match item["init"]:
        case Init.ZERO:
            return 0
        case Init.BIAS:
            return buffer.read(row_addresses(item["init_address"], cols, ccpes), 4)
        case Init.TILE:
            matrix = Matrix(item["init_address"], item["init_pitch"], 4, ccpes)
            if item["init_transposed"]:
                return _read(buffer, matrix, cols, rows).T
            return _read(buffer, matrix, rows, cols)
    if rows > TILE or cols > TILE * ccpes:
        message = f"HOLD of a {rows} x {cols} result: one tile, {TILE} x {TILE * ccpes}, allowed"
        raise ProgramError(Fault.ILLEGAL, message)
    if held is None or held.shape != (rows, cols):
        found = "nothing" if held is None else f"{held.shape[0]} x {held.shape[1]}"
        raise ProgramError(Fault.UNDEFINED, f"HOLD of a {rows} x {cols} tile: {found} is in the accumulators")
    return held


def _left(item: Instruction, buffer: Later, ccpes: int) -> np.ndarray:
    shape = item["rows"], item["k"], TILE * item["left_word"]
    left = _read(buffer, Matrix(item["current"], item["left_pitch"], 1, ccpes), *shape)
    if item["use_reference"]:
        left = left - _read(buffer, Matrix(item["reference"], item["left_pitch"], 1, ccpes), *shape)
    return left


def _right(item: Instruction, buffer: Later, ccpes: int) -> np.ndarray:
    matrix = Matrix(item["right"], item["right_pitch"], 1, ccpes)
    if item["right_transposed"]:
        return _read(buffer, matrix, item["cols"], item["k"], TILE * item["right_word"]).T
    return _read(buffer, matrix, item["k"], item["cols"])


def matmul(item: Instruction, buffer: Later, held: Held, config: MachineConfig) -> Held:
    """Run one MATMUL on `buffer`; returns what its last tile leaves in the accumulators.

    result = wrap(init + (current - reference) @ right, acc_bits), (M, N). Accumulators and their init may be the same
    matrix, other results may not overlap operands.
    """
    ccpes = config.ccpes
    for name, value, limit in (("k", item["k"], config.right_rows), ("left_word", item["left_word"], ccpes - 1),
                               ("right_word", item["right_word"], ccpes - 1)):
        if value > limit:
            raise ProgramError(Fault.ILLEGAL, f"MATMUL: {name} is {value}, at most {limit} allowed")
    left, right = _left(item, buffer, ccpes), _right(item, buffer, ccpes)
    product = (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    result = wrap(product + _init(item, buffer, held, ccpes), config.acc_bits)
    if item["emit_accumulators"]:
        _write(buffer, Matrix(item["accumulators"], item["acc_pitch"], 4, ccpes), result)
    if item["emit_int8"]:
        scale = buffer.read(row_addresses(item["scale"], item["cols"], ccpes), 4) & (1 << MULTIPLIER_BITS) - 1
        _write(buffer, Matrix(item["int8"], item["int8_pitch"], 1, ccpes), requantise(result, scale, item["shift"]))
    rows, cols = result.shape
    return result[TILE * (tiles(rows, TILE) - 1):, TILE * ccpes * (tiles(cols, TILE * ccpes) - 1):]
