# SPDX-License-Identifier: Apache-2.0
"""Named integer operations, shared by hardware, law and documentation (docs/numerics.md).

Each function is written with operators only, so that one text serves Python integers, numpy arrays and torch
int64 tensors; `round_shift` serves Amaranth values too. Two well-known accelerators document a rounding that their
circuit does not do: here "rounded" always means `round_shift`.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat

#: Width of a requantiser's multiplier, unsigned: a relative scale error of at most 2^-12 when normalised.
MULTIPLIER_BITS = 12
#: Largest right shift of a requantiser.
SHIFT_MAX = 39


def round_shift(x: Any, shift: int) -> Any:
    """Divide by 2^shift, rounding half up (towards plus infinity): -2.5 -> -2, 2.5 -> 3. Shift 0 is the identity."""
    if shift == 0:
        return x
    return (x + (1 << (shift - 1))) >> shift


def saturate(x: Any, bits: int) -> Any:
    """Clamp to the range of a signed number of `bits` bits."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if isinstance(x, int):
        return max(low, min(high, x))
    return x.clip(low, high)


def wrap(x: Any, bits: int) -> Any:
    """Keep the low `bits` bits, read as two's complement: what an accumulator register does."""
    half = 1 << (bits - 1)
    return ((x + half) & ((1 << bits) - 1)) - half


def requantise(acc: Any, multiplier: Any, shift: int) -> Any:
    """Accumulator to int8: `saturate(round_shift(acc * multiplier, shift), 8)`.

    `multiplier` is unsigned, `MULTIPLIER_BITS` wide, one per column; `shift` (0..SHIFT_MAX) is one per operator.
    """
    return saturate(round_shift(acc * multiplier, shift), 8)


def lowest(mask: Any) -> Any:
    """One-hot of the lowest set bit of an Amaranth value (0 where none is set)."""
    return Cat(mask[i] & ~mask[:i].any() for i in range(len(mask)))
