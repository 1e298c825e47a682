# SPDX-License-Identifier: Apache-2.0
"""Digits of left operands as they travel: windows of 4-bit digits in segments, factors in radix 4."""

from __future__ import annotations

from typing import Any

from hw.config import TILE
from model.exact.encode.encoder import Beat, Segment


def segment_beat(beat: Beat, last: bool) -> dict[str, Any]:
    """A beat of the segments stream; unused slots hold noise-free zeros."""
    empty = {"valid": 0, "k": 0, "plane": 0, "rows": 0, "digit": [0] * TILE}
    return {"slot": [dict(empty) if segment is None else segment_slot(segment) for segment in beat], "last": last}


def segment_slot(segment: Segment) -> dict[str, Any]:
    """One segment as it travels; a digit that has two forms takes either, by its column."""
    carried = bool(segment.k & 1)
    return {"valid": 1, "k": segment.k, "plane": segment.plane, "rows": segment.rows,
            "digit": [window_of(digit, carried) for digit in segment.digits]}


def window_of(digit: int, carried: bool = False) -> int:
    """The window of a digit -8..8: a nibble in two's complement and below it the carry that is added to it.

    8 has a carry always, -8 never, every other digit where `carried`.
    """
    carry = digit == 8 or (carried and digit != -8)
    return (digit - carry & 15) << 1 | carry


def digit_of(window: int) -> int:
    """The digit -8..8 of a window."""
    return (window >> 1 ^ 8) - 8 + (window & 1)


def factor_of(value: int, digits: int) -> list[dict[str, int]]:
    """A left factor as `digits` radix-4 digits, the lowest first: each -2..1, the last whatever remains."""
    places = []
    for _ in range(digits - 1):
        places.append((value + 2) % 4 - 2)
        value = (value - places[-1]) // 4
    return [{"negative": int(place < 0), "one": int(abs(place) == 1), "two": int(abs(place) == 2)}
            for place in (*places, value)]


def value_of(factor: list[dict[str, int]]) -> int:
    """What a left factor in radix 4 stands for."""
    return sum((-1) ** digit["negative"] * (digit["one"] + 2 * digit["two"]) * 4 ** i
               for i, digit in enumerate(factor))
