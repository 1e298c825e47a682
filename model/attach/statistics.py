# SPDX-License-Identifier: Apache-2.0
"""What the operands of a run look like: zeros, 4-bit and 8-bit values, by layer and timestep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

#: What an operand is counted as: itself, or its difference to that of the previous timestep or frame.
REFERENCES = ("none", "timestep", "frame")


@dataclass
class Shares:
    """How many values are 0, fit 4 bits (-8 .. 7), or need more."""

    zero: int = 0
    four: int = 0
    more: int = 0

    def count(self, values: Tensor) -> None:
        """Count integers in."""
        zero = int((values == 0).sum())
        four = int(((values >= -8) & (values <= 7)).sum()) - zero
        self.zero += zero
        self.four += four
        self.more += values.numel() - zero - four

    def add(self, other: Shares) -> None:
        """Count another's values in."""
        self.zero, self.four, self.more = self.zero + other.zero, self.four + other.four, self.more + other.more

    @property
    def values(self) -> int:
        """How many values were counted."""
        return self.zero + self.four + self.more

    def as_list(self) -> list[float] | None:
        """Shares of zeros, of 4 bits and of more; None where nothing was counted."""
        return [count / self.values for count in (self.zero, self.four, self.more)] if self.values else None


@dataclass
class LayerStatistics:
    """One operator of a layer over a run.

    Members
    -------
    key, kind, axis : as `model.attach.sites.LayerSite` has them
    macs, done : multiply-accumulates of dense products, and those that the methods left
    digits : multiplications of a digit that is not zero by an 8-bit value; dense products have two a multiplication
    shares : by (reference, step)
    """

    key: str
    kind: str
    axis: str
    macs: int = 0
    done: int = 0
    digits: int = 0
    shares: dict[tuple[str, int], Shares] = field(default_factory=lambda: defaultdict(Shares))

    def over_steps(self, reference: str) -> Shares:
        """Shares of all timesteps together."""
        total = Shares()
        for (kind, _), shares in self.shares.items():
            if kind == reference:
                total.add(shares)
        return total

    def as_dict(self) -> dict[str, object]:
        """For a file: shares over all steps, and by step."""
        steps = sorted({step for _, step in self.shares})
        references = {
            name: {"all": self.over_steps(name).as_list(), "by_step": [
                self.shares[name, step].as_list() if (name, step) in self.shares else None for step in steps]}
            for name in REFERENCES
        }
        return {"layer": self.key, "kind": self.kind, "axis": self.axis, "macs": self.macs, "macs_done": self.done,
                "digit_products": self.digits} | references


def total(layers: Iterable[LayerStatistics]) -> LayerStatistics:
    """All operators together, under the key "all"."""
    found = LayerStatistics("all", "", "")
    for layer in layers:
        found.macs, found.done, found.digits = (
            found.macs + layer.macs, found.done + layer.done, found.digits + layer.digits)
        for place, shares in layer.shares.items():
            found.shares[place].add(shares)
    return found


class Watching:
    """Counts the operands of one run; an attention's product counts both of its operands.

    References are kept as int8: one byte a value of every operand, guidance branch and video.
    """

    def __init__(self) -> None:
        self.layers: dict[tuple[str, str], LayerStatistics] = {}
        self.last: dict[tuple[object, ...], Tensor] = {}

    def forget(self) -> None:
        """Another video begins."""
        self.last.clear()

    def layer(self, key: str, kind: str, axis: str) -> LayerStatistics:
        """The entry of one operator."""
        return self.layers.setdefault((key, kind), LayerStatistics(key, kind, axis))

    def see(self, entry: LayerStatistics, step: int, context: object, operands: Iterable[Tensor], frames: bool) -> None:
        """Count int8 operands, whose leading axis is the frame where `frames` says so."""
        for place, operand in enumerate(operands):
            current, name = operand.to(torch.int16), (entry.key, entry.kind, context, place)
            entry.shares["none", step].count(current)
            if name in self.last:
                entry.shares["timestep", step].count(current - self.last[name])
            if frames and len(current) > 1:
                entry.shares["frame", step].count(current.diff(dim=0))
            self.last[name] = operand.to(torch.int8)
