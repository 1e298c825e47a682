# SPDX-License-Identifier: Apache-2.0
"""What a product asks of a machine, digits and bytes, and what that costs: the function that Defo is handed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from model.exact.encode.nibbles import Nibbles, count_items
from model.exact.traffic import Traffic


@dataclass(frozen=True)
class Demand:
    """Of one product: multiplications of a non-zero digit by an 8-bit value, and bytes in and out of DRAM."""

    digits: int
    bytes: int


Cost = Callable[[Demand], float]


def demand(product: str, current: Tensor, reference: Tensor | None, right: Tensor,
           traffic: Traffic | None = None, nibbles: Nibbles = Nibbles.DIGITS) -> Demand:
    """What one job as `Operators.run` gets it asks for, nothing left out; `traffic` None is what the job shows.

    Bytes: operands, results at one byte; with a reference also the operand before, and sums in and out. The second of
    two products finds its reference and its right operand read by the first, which keeps its sums in the array.
    """
    if traffic is None:
        traffic = Traffic(reference=0, carried=0) if reference is None else Traffic()
    difference = current if reference is None else current - reference
    columns, rows = right.shape[-1], current.numel() // current.shape[-1]
    bits = current.numel() * traffic.operand
    if product != "second":
        bits += 8 * right.numel() + current.numel() * traffic.reference
    if product != "first":
        bits += rows * (columns * (traffic.result + traffic.carried) + traffic.row)
    return Demand(int(count_items(difference, nibbles).sum()) * columns, -(-bits // 8))


@dataclass(frozen=True)
class Roofline:
    """Cycles of an array with so many 4-bit multipliers behind so many bytes a cycle, whichever takes longer."""

    multipliers: int = 4096
    bytes_per_cycle: float = 64.0

    def __call__(self, asked: Demand) -> float:
        """Cycles."""
        return max(asked.digits / self.multipliers, asked.bytes / self.bytes_per_cycle)
