# SPDX-License-Identifier: Apache-2.0
"""What a sampling run multiplied and what it left out, by operator kind, and what deciding it cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from model.exact.operators import Site


@dataclass
class Work:
    """Counts of one sampling run.

    Members
    -------
    total, done : int8 multiply-accumulates by operator kind: of dense products, and those that were needed
    digits : multiplications of a non-zero digit (encoder's) by an 8-bit value, by operator kind, of needed rows times
        their needed outputs; a dense product has two an operand
    bytes_total, bytes : in and out of DRAM by operator kind, every product alone, modelled: of dense products, and
        those that were moved
    asked, busy : by (site, denoising step): multiplications of the products as they ran, both of two among them, and
        those of a non-zero operand for a needed output
    extra : other things counted, by name: differences of a search, shift-adds of a prediction, rows copied
    """

    total: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    digits: Counter[str] = field(default_factory=Counter)
    bytes_total: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    asked: Counter[tuple[Site, int]] = field(default_factory=Counter)
    busy: Counter[tuple[Site, int]] = field(default_factory=Counter)
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

    @property
    def bytes_left(self) -> float:
        """Bytes moved over those of dense products, which a method may exceed; 1 where nothing was counted."""
        total = sum(self.bytes_total.values())
        return sum(self.bytes.values()) / total if total else 1.0

    @property
    def classes(self) -> tuple[float, float, float]:
        """Shares of multiplications whose operand has no digit (or is left out), one, and two, of all products."""
        asked, busy, multiplied = (sum(counter.values()) for counter in (self.asked, self.busy, self.digits))
        if not asked:
            return 0.0, 0.0, 0.0
        return 1 - busy / asked, (2 * busy - multiplied) / asked, (multiplied - busy) / asked

    @property
    def zeros(self) -> dict[str, dict[int, float]]:
        """By operator ("layer kind") and denoising step: share of multiplications by zero or left out."""
        asked, busy = Counter(), Counter()
        for (site, step), count in self.asked.items():
            name = site.kind if site.kind in ("embed", "head") else f"{site.layer} {site.block} {site.kind}"
            asked[name, step] += count
            busy[name, step] += self.busy[site, step]
        found: dict[str, dict[int, float]] = {}
        for (name, step), count in asked.items():
            found.setdefault(name, {})[step] = 1 - busy[name, step] / count
        return found

    def left_of(self, kind: str) -> float:
        """The same for one operator kind."""
        return self.done[kind] / self.total[kind] if self.total[kind] else 1.0

    def add(self, other: Work) -> None:
        """Count another run too."""
        self.total += other.total
        self.done += other.done
        self.digits += other.digits
        self.bytes_total += other.bytes_total
        self.bytes += other.bytes
        self.asked += other.asked
        self.busy += other.busy
        self.extra += other.extra
