# SPDX-License-Identifier: Apache-2.0
"""Products through a chain of features, each of which may rewrite operands, leave outputs out and fill them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.approximate.work import Work
from model.exact.encode.encoder import digits
from model.exact.operators import Job, Operators, Recorder, Site

_ALL = torch.ones((), dtype=torch.bool)


@dataclass(frozen=True)
class Product:
    """`left @ right + init` and what of it is needed.

    Members
    -------
    left, right, init : as `Operators.linear` and `Operators.attention` get them
    need : bool, broadcast to the result (..., M, N): outputs that somebody reads
    used : bool, broadcast to left (..., M, K): operands that are multiplied
    carried : (..., M, K) int8, an operand whose product with `right` is at hand, so that the difference to it is
        what is multiplied; None: the whole operand
    """

    site: Site
    left: Tensor
    right: Tensor
    init: Tensor
    need: Tensor = _ALL
    used: Tensor = _ALL
    carried: Tensor | None = None


Inner = Callable[[Product], Tensor]


class Feature:
    """One method's part in a sampling run. The base passes everything on."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.step = 0

    def begin(self, step: int) -> None:
        """Say which denoising step comes next."""
        self.step = step

    def product(self, product: Product, inner: Inner) -> Tensor:
        """The result (..., M, N); outputs outside `product.need` may hold anything."""
        return inner(product)

    def observe(self, product: Product, result: Tensor) -> None:
        """See what the whole chain made of a product."""


def macs(product: Product, result: Tensor) -> tuple[int, int]:
    """Multiplications of a product: all, and those of needed outputs and used operands."""
    outputs = product.need.expand(result.shape).sum(-1)
    operands = product.used.expand(product.left.shape).sum(-1)
    return result.numel() * product.left.shape[-1], int((outputs * operands).sum())


def digit_products(job: Job, product: Product) -> int:
    """Multiplications of a non-zero digit by an 8-bit value that a job of `product` needs.

    Digits are the encoder's. A row's digits go to its needed outputs; the second of two products is transposed.
    """
    reference = job.reference if product.carried is None else product.carried
    count = (digits(job.current - reference) != 0).sum(0)
    need, used = product.need.expand(*product.left.shape[:-1], product.right.shape[-1]), product.used
    if job.product == "second":
        return int((count.sum(-1) * need.sum(-2)).sum())
    return int(((count * used).sum(-1) * need.sum(-1)).sum())


class Approximate(Operators):
    """Products of one sampling run through `features`, outermost first; `work` counts them.

    The innermost product is computed whole, from whole operands or by an exact method; only what is needed
    is counted, and features never read the rest.

    Parameters
    ----------
    features : outermost first
    work : where to count
    record : called with every innermost `Job`, whole
    exact : computes the innermost product: `Operators`, or `Ditto` of `model.methods`
    """

    def __init__(
        self,
        features: Sequence[Feature],
        work: Work,
        record: Recorder | None = None,
        exact: type[Operators] = Operators,
    ) -> None:
        super().__init__(record)
        self.features, self.work = tuple(features), work
        self.jobs: list[Job] = []
        self.exact = exact(self.jobs.append)

    def begin(self, step: int) -> None:
        """Say which denoising step comes next."""
        super().begin(step)
        for part in (self.exact, *self.features):
            part.begin(step)

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """As `Operators.linear`, approximate where a feature says so."""
        return self._through(Product(site, left, right, bias.expand(*left.shape[:-1], -1)))

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Operators.attention`, approximate where a feature says so."""
        return self._through(Product(site, left, right, left.new_zeros(())))

    def _through(self, product: Product) -> Tensor:
        result = self._from(0, product)
        for feature in self.features:
            feature.observe(product, result)
        return result

    def _from(self, place: int, product: Product) -> Tensor:
        if place < len(self.features):
            return self.features[place].product(product, lambda changed: self._from(place + 1, changed))
        site, left, right = product.site, product.left, product.right
        if right.dim() == 2:
            result = self.exact.linear(site, left, right, product.init)
        else:
            result = self.exact.attention(site, left, right)
        total, done = macs(product, result)
        self.work.total[site.kind] += total
        self.work.done[site.kind] += done
        for job in self.jobs:
            self.work.digits[site.kind] += digit_products(job, product)
            if self.record is not None:
                self.record(job)
        self.jobs.clear()
        return result
