# SPDX-License-Identifier: Apache-2.0
"""Matrices and rows of parameters as the bytes of lines, and back."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from hw.config import TILE
from model.exact.machine.matrix import Matrix, line_bytes, row_addresses, tiles


def _compact(cols: int, width: int, ccpes: int) -> Matrix:
    return Matrix(0, width * tiles(cols, TILE * ccpes), width, ccpes)


def matrix_lines(rows: int, cols: int, width: int, ccpes: int) -> int:
    """Lines of a (rows, cols) matrix without gaps."""
    return tiles(rows, TILE) * _compact(cols, width, ccpes).pitch


def _spread(values: np.ndarray, addresses: np.ndarray, width: int, size: int) -> bytes:
    data = np.zeros(size, dtype=np.uint8)
    data[addresses[..., None] + np.arange(width)] = values.astype("<i8")[..., None].view(np.uint8)[..., :width]
    return data.tobytes()


def matrix_bytes(values: Tensor, width: int, ccpes: int) -> bytes:
    """Lines of an integer matrix (M, N) of `width` bytes an element, tile rows adjacent, padding zero."""
    rows, cols = values.shape
    addresses = _compact(cols, width, ccpes).addresses(np.arange(rows), np.arange(cols))
    return _spread(values.numpy(), addresses, width, matrix_lines(rows, cols, width, ccpes) * line_bytes(ccpes))


def row_bytes(values: Tensor, ccpes: int) -> bytes:
    """Lines of an int32 row (N,)."""
    size = tiles(len(values), TILE * ccpes) * line_bytes(ccpes)
    return _spread(values.numpy(), row_addresses(0, len(values), ccpes), 4, size)


def matrix_from(data: bytes, rows: int, cols: int, width: int, ccpes: int) -> np.ndarray:
    """The int64 matrix (rows, cols) in the bytes that `matrix_bytes` makes."""
    addresses = _compact(cols, width, ccpes).addresses(np.arange(rows), np.arange(cols))
    places = np.frombuffer(data, dtype=np.uint8)[addresses[..., None] + np.arange(width)]
    return np.ascontiguousarray(places).view(f"<i{width}")[..., 0].astype(np.int64)
