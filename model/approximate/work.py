# SPDX-License-Identifier: Apache-2.0
"""What a sampling run multiplied and what it left out, by operator kind, and what deciding it cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Work:
    """Counts of one sampling run.

    Members
    -------
    total, done : int8 multiply-accumulates by operator kind: of dense products, and those that were needed
    digits : multiplications of a non-zero digit (encoder's) by an 8-bit value, by operator kind, of needed rows times
        their needed outputs; a dense product has two an operand
    extra : other things counted, by name: differences of a search, shift-adds of a prediction, rows copied
    """

    total: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    digits: Counter[str] = field(default_factory=Counter)
    extra: Counter[str] = field(default_factory=Counter)

    @property
    def left(self) -> float:
        """Share of all multiplications that was done; 1 where nothing was counted."""
        total = sum(self.total.values())
        return sum(self.done.values()) / total if total else 1.0

    @property
    def digits_left(self) -> float:
        """Share of the digits of dense products, two an operand, that was multiplied; 1 where nothing was counted."""
        total = 2 * sum(self.total.values())
        return sum(self.digits.values()) / total if total else 1.0

    def left_of(self, kind: str) -> float:
        """The same for one operator kind."""
        return self.done[kind] / self.total[kind] if self.total[kind] else 1.0

    def add(self, other: Work) -> None:
        """Count another run too."""
        self.total += other.total
        self.done += other.done
        self.digits += other.digits
        self.extra += other.extra
