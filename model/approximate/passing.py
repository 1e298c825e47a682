# SPDX-License-Identifier: Apache-2.0
"""Ditto's linear-run pass-through over a sampling run: differences that go from product to product."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from model.approximate.config import DittoConfig, PassThrough
from model.approximate.ditto import DefoDitto
from model.approximate.runs import Between, Link
from model.exact.operators import Operators, Recorder, Site
from model.exact.recover.passthrough import accumulate, pass_remainder, pass_rounded, remainder_of
from model.exact.traffic import SUM_BYTES, Traffic
from model.exact.vector.scaling import Scale

#: Bits of a difference of two int8 values.
_DIFFERENCE = 9


class PassingDitto(DefoDitto):
    """Ditto whose differences pass through the linear links of a network, as `PassThrough` reads it.

    A link is open where both of its ends multiply differences, so Defo may close it. LOCAL changes no bit. Under the
    readings that round, the first product of an open link carries no sums; the second is exact on the operand that
    its differences lead to. Where the second product needs differences alone that operand exists nowhere, so nothing
    clamps it to int8: what is handed on is saturated instead. Whole operands begin the chain again at the first
    timestep, every `pass_refresh`, and at step 2 where Defo closes the link.

    Parameters
    ----------
    found : the network's linear links, of `model.approximate.runs`
    """

    def __init__(self, config: DittoConfig, found: Sequence[Link], record: Recorder | None = None) -> None:
        super().__init__(config, record)
        self.rounds = config.pass_through is not PassThrough.LOCAL
        self.links = [link for link in found
                      if (link.between is Between.REQUANTISE if self.rounds else not link.whole)]
        self.held: dict[Site, tuple[Tensor, Tensor]] = {}
        self.begun = 0

    def begin(self, step: int) -> None:
        """As `DefoDitto.begin`; links that the decision closes find their sums gone and begin with whole operands."""
        super().begin(step)
        self.begun += 1
        closed = [link for link in self.links if link.first in self.originals
                  or (not link.whole and link.second in self.originals)]
        for link in closed:
            self.links.remove(link)
            if self.rounds:
                self.last.pop(link.first, None)

    @property
    def _whole(self) -> bool:
        """Whether this step begins the chains."""
        refresh = self.config.pass_refresh
        return self.begun < 2 or (self.rounds and refresh is not None and self.step % refresh == 0)

    def _from(self, site: Site) -> Link | None:
        return next((link for link in self.links if link.first == site), None)

    def _into(self, site: Site) -> Link | None:
        return next((link for link in self.links if link.second == site and not link.whole), None)

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """As `Operators.linear`; in front of a link that rounds, the sums of the differences alone."""
        if not self.rounds or self._from(site) is None:
            return super().linear(site, left, right, bias)
        if self._whole:
            result = Operators.linear(self, site, left, right, bias)
        else:
            result = self.run(site, "single", left, self.last[site][0], right, left.new_zeros(()))
        self.last[site] = left, right, result
        return result

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Operators.attention`, equal bit for bit on the operands that the differences lead to."""
        if self.rounds and self._whole and self._into(site) is not None:
            self.last.pop(site, None)
        return super().attention(site, left, right)

    def requantised(self, site: Site, acc: Tensor, scale: Scale) -> Tensor:
        """As `Operators.requantised`; behind a link's first product, the operand that its differences lead to."""
        link = self._from(site)
        if not self.rounds or link is None:
            return super().requantised(site, acc, scale)
        if self._whole:
            self.held[site] = super().requantised(site, acc, scale), remainder_of(acc, scale)
        else:
            before, remainder = self.held[site]
            if self.config.pass_through is PassThrough.REMAINDER:
                difference, remainder = pass_remainder(acc, remainder, scale)
            else:
                difference = pass_rounded(acc, scale)
            self.held[site] = accumulate(before, difference) if link.whole else before + difference, remainder
        return self.held[site][0]

    def traffic(self, site: Site) -> Traffic | None:
        """As `Operators.traffic`, of the two ends of a link."""
        link, into = self._from(site), self._into(site)
        if self.rounds and link is not None:
            remainder = 8 if self.config.pass_through is PassThrough.REMAINDER else 0
            if self._whole:
                return Traffic(reference=0, carried=remainder)
            return Traffic(carried=2 * remainder + (8 if link.whole else 0))
        if self._whole or (link is None and into is None):
            return None
        if self.rounds:
            return Traffic(reference=0)
        if link is None:
            return Traffic(operand=_DIFFERENCE, reference=0)
        return Traffic(result=_DIFFERENCE, row=2 * 8 * SUM_BYTES if link.between is Between.DIVIDE else 0)
