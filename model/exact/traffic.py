# SPDX-License-Identifier: Apache-2.0
"""How many bits a product of differences moves for what it is made of."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes of a carried sum: accumulators of 28 bits, whole bytes.
SUM_BYTES = 4


@dataclass(frozen=True)
class Traffic:
    """Bits in and out of DRAM for an element of the left operand, for a result and for a row of results.

    Members
    -------
    operand, reference : of the operand, or of the difference that was handed on, and of the operand before
    result : of what goes to the next operator
    carried : of what goes to the same operator's next timestep, in and out together
    row : in and out together
    """

    operand: int = 8
    reference: int = 8
    result: int = 8
    carried: int = 2 * 8 * SUM_BYTES
    row: int = 0
