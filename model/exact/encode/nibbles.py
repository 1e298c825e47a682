# SPDX-License-Identifier: Apache-2.0
"""How many 4-bit items a difference is: Ditto's classes zero, 4 bits and 8 bits (HPCA 2025), in four readings.

Stated, at second hand: 00 is dropped, 01 (low nibble alone) is one item, 1x is two, low and high. Inferred: what "high
nibble" means of a negative number, and that the encoder here leaves out a low item of zero too.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from model.exact.encode.encoder import digits


class Nibbles(str, Enum):
    """Inferred: which differences take one item."""

    DIGITS = "digits"  #: the encoder's: one non-zero digit, -8..7 and the multiples of 16 (a ninth bit takes more)
    EXTENSION = "extension"  #: -8..7: the high nibble extends the sign
    MAGNITUDE = "magnitude"  #: -15..15: sign and magnitude
    LITERAL = "literal"  #: 0..15: the high nibble of two's complement is zero, so every negative number takes two


def _items(reading: Nibbles, every: Tensor) -> Tensor:
    if reading is Nibbles.DIGITS:
        return (digits(every) != 0).sum(0)
    low, high = {Nibbles.EXTENSION: (-8, 7), Nibbles.MAGNITUDE: (-15, 15), Nibbles.LITERAL: (0, 15)}[reading]
    return torch.where((low <= every) & (every <= high), 1, 2) * (every != 0)


#: Items of a difference -255..255, at its place + 255.
_COUNTS = {reading: _items(reading, torch.arange(-255, 256)).to(torch.int32) for reading in Nibbles}


def count_items(difference: Tensor, reading: Nibbles = Nibbles.DIGITS) -> Tensor:
    """Items of every element of a difference (...) of two int8 values, int32."""
    return _COUNTS[reading].index_select(0, (difference + 255).flatten()).view(difference.shape)
