# SPDX-License-Identifier: Apache-2.0
"""Where the elements of a matrix lie in lines of 16 x ccpes bytes (docs/isa.md, first section)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hw.config import TILE

#: Bytes of a word: a 4x4 block of int8.
WORD = 16


def line_bytes(ccpes: int) -> int:
    """Bytes of a line."""
    return WORD * ccpes


def tiles(count: int, size: int) -> int:
    """Tiles of `size` that hold `count` elements."""
    return -(-count // size)


@dataclass(frozen=True)
class Matrix:
    """A matrix in memory.

    Parameters
    ----------
    base : line at which it begins
    pitch : lines from one row of tiles to the next
    width : bytes of an element: 1, 2 or 4
    ccpes : words of a line
    """

    base: int
    pitch: int
    width: int
    ccpes: int

    def addresses(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Byte addresses (len(rows), len(cols)) of the elements' first bytes."""
        row, col = rows[:, None], cols[None]
        line = self.base + row // TILE * self.pitch + self.width * (col // (TILE * self.ccpes))
        inside = row % TILE * TILE * self.width  # of a 4x4 block of `width` words, row after row
        line, inside = line + inside // WORD, inside % WORD
        return line * line_bytes(self.ccpes) + WORD * (col // TILE % self.ccpes) + inside + self.width * (col % TILE)

    def lines(self, rows: int, cols: int) -> np.ndarray:
        """The lines that the tiles of a (rows, cols) matrix occupy."""
        across = self.width * tiles(cols, TILE * self.ccpes)
        return (self.base + np.arange(tiles(rows, TILE))[:, None] * self.pitch + np.arange(across)).ravel()

    def turned_lines(self, rows: int, across: np.ndarray) -> np.ndarray:
        """(reads, ccpes) lines of the transposed reads of `rows` rows, at lines `across` from where a tile row begins.

        A read takes a word from each of ccpes tile rows; the last ones may lie beyond the matrix.
        """
        first = np.arange(tiles(rows, TILE * self.ccpes))[:, None] * self.ccpes * self.pitch + across
        return self.base + first.reshape(-1, 1) + np.arange(self.ccpes) * self.pitch


def row_addresses(base: int, cols: int, ccpes: int) -> np.ndarray:
    """Byte addresses (cols,) of an int32 row of parameters that begins at line `base`."""
    col = np.arange(cols)
    line = base + col // (TILE * ccpes)
    return line * line_bytes(ccpes) + WORD * (col // TILE % ccpes) + 4 * (col % TILE)
