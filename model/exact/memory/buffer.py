# SPDX-License-Identifier: Apache-2.0
"""Law of the global buffer: what a read gives and what a write changes. Words are opaque here."""

from __future__ import annotations

import numpy as np


def read(store: np.ndarray, address: int) -> np.ndarray:
    """The line (C, 16) at `address` of a buffer (lines, C, 16) uint8."""
    return store[address].copy()


def read_transposed(store: np.ndarray, address: int, word: int, stride: int, bank_lines: int) -> np.ndarray:
    """Word `word` of the C lines `address`, `address` + `stride`, ...: (C, 16). Lines wrap at the end of the bank."""
    bank, line = divmod(address, bank_lines)
    lines = [bank * bank_lines + (line + c * stride) % bank_lines for c in range(store.shape[1])]
    return store[lines, word].copy()


def write(store: np.ndarray, address: int, line: np.ndarray, mask: int) -> None:
    """Replace bytes 4g..4g+3 of word c of the line at `address` where bit 4c + g of the mask is set."""
    for bit in range(4 * store.shape[1]):
        if mask >> bit & 1:
            c, g = divmod(bit, 4)
            store[address, c, 4 * g:4 * g + 4] = line[c, 4 * g:4 * g + 4]
