# SPDX-License-Identifier: Apache-2.0
"""Ditto with Defo over a sampling run: each operator multiplies differences or originals, whichever costs less.

Every choice gives the same bits; what changes is the work, the traffic and hence the cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.approximate.config import Defo, DittoConfig
from model.approximate.demand import demand
from model.exact.operators import Operators, Recorder, Site, matmul
from model.methods import Ditto


class DefoDitto(Ditto):
    """Step 0 multiplies originals, step 1 differences; from then on each operator does what cost less there.

    Defo+ gives operators that are sent to originals the differences to the row before (Diffy), which need no memory.

    Members
    -------
    originals : operators that were sent back to originals, known after step 1
    """

    def __init__(self, config: DittoConfig, record: Recorder | None = None) -> None:
        super().__init__(record)
        self.config, self.nibbles = config, config.nibbles
        self.costs: dict[tuple[Site, int], float] = {}
        self.originals: set[Site] = set()
        self.whole, self.rows = _Whole(record), RowDifferences(record)

    def begin(self, step: int) -> None:
        """As `Operators.begin`; step 2 brings the decision, which is frozen."""
        for part in (self.whole, self.rows):
            part.begin(step)
        super().begin(step)
        if step == 2 and self.config.defo is not Defo.OFF:
            sites = {site for site, _ in self.costs}
            self.originals = {site for site in sites if not self.costs[site, 0] > self.costs[site, 1]}

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """As `Operators.linear`, equal bit for bit."""
        if site in self.originals:
            return self._original(site, left, right, bias.expand(*left.shape[:-1], -1))
        return super().linear(site, left, right, bias)

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Operators.attention`, equal bit for bit."""
        if site in self.originals:
            return self._original(site, left, right, left.new_zeros(()))
        return super().attention(site, left, right)

    def run(self, site: Site, product: str, current: Tensor, reference: Tensor | None, right: Tensor, init: Tensor,
            start: int = 0) -> Tensor:
        """As `Operators.run`; the first two steps are costed."""
        if self.step < 2 and self.config.defo is not Defo.OFF:
            key = site, self.step
            traffic = self.traffic(site) if self.step else None
            cost = self.config.cost(demand(product, current, reference, right, traffic, self.nibbles))
            self.costs[key] = self.costs.get(key, 0.0) + cost
        return super().run(site, product, current, reference, right, init, start)

    def _original(self, site: Site, left: Tensor, right: Tensor, init: Tensor) -> Tensor:
        other = self.whole if self.config.defo is Defo.DEFO else self.rows
        return other.differ(site, left, right, init)


class _Whole(Operators):
    """Products of whole operands."""

    def differ(self, site: Site, left: Tensor, right: Tensor, init: Tensor) -> Tensor:
        """`left @ right + init`."""
        return self.run(site, "single", left, None, right, init)


class RowDifferences(Operators):
    """Products (..., M, K) from differences to the row before; row 0 is whole. Equal bit for bit."""

    reference = "row"

    def differ(self, site: Site, left: Tensor, right: Tensor, init: Tensor) -> Tensor:
        """`left @ right + init`, as one job in which every row begins with the sums of the row before."""
        before, carried = torch.zeros_like(left), matmul(left, right)
        before[..., 1:, :] = left[..., :-1, :]
        carried = torch.cat([torch.zeros_like(carried[..., :1, :]), carried[..., :-1, :]], -2)
        return self.run(site, "single", left, before, right, carried + init)
