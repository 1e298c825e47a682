# SPDX-License-Identifier: Apache-2.0
"""Law of a difference that passes from one product to the next without the sums between them. Law only.

Ditto (HPCA 2025) lets differences straight through where two neighbours are linear: no sum at the output of the
first, no difference at the input of the second. Here a requantisation stands between any two products, which rounds;
what is inferred is what becomes of the rounding. Forgotten: `pass_rounded`. Kept, a byte for every element:
`pass_remainder`. The sums themselves, 28 bits, are carried by neither.
"""

from __future__ import annotations

from torch import Tensor

from hw.numerics import round_shift, saturate
from model.exact.vector.scaling import Scale, requantise8

#: Fraction bits of a carried remainder: a byte is half a place of int8 either way.
REMAINDER_BITS = 8


def pass_rounded(acc: Tensor, scale: Scale) -> Tensor:
    """The accumulators (..., N) of a product of differences as the next operand's difference, int8.

    What is below half a place is lost at every timestep, so the operand drifts from that of the sums.
    """
    return requantise8(acc, scale)


def places(acc: Tensor, scale: Scale) -> Tensor:
    """Accumulators (..., N) in 2^-`REMAINDER_BITS` places of int8, rounded half up, int64."""
    shift = scale.shift - REMAINDER_BITS
    product = acc.long() * scale.multiplier
    return round_shift(product, shift) if shift >= 0 else product << -shift


def pass_remainder(acc: Tensor, remainder: Tensor, scale: Scale) -> tuple[Tensor, Tensor]:
    """As `pass_rounded`, with what the timestep before rounded away: the difference and its remainder, int8 each.

    The sum of all differences stays within half a place, and 2^-9 for every timestep, of the sums' requantisation, as
    long as nothing saturates.
    """
    found = places(acc, scale) + remainder
    difference = saturate(round_shift(found, REMAINDER_BITS), 8)
    return difference, saturate(found - (difference << REMAINDER_BITS), REMAINDER_BITS)


def remainder_of(acc: Tensor, scale: Scale) -> Tensor:
    """What requantising the accumulators of a whole product rounds away, int8: where the chain begins."""
    return saturate(places(acc, scale) - (requantise8(acc, scale) << REMAINDER_BITS), REMAINDER_BITS)


def accumulate(before: Tensor, difference: Tensor) -> Tensor:
    """The operand that a difference leads to, int8, for a product that needs the operand itself."""
    return saturate(before + difference, 8)
