# SPDX-License-Identifier: Apache-2.0
"""Products through a chain of features, each of which may rewrite operands, leave outputs out and fill them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.approximate.work import Work
from model.exact.operators import Operators, Recorder, Site

_ALL = torch.ones((), dtype=torch.bool)


@dataclass(frozen=True)
class Product:
    """`left @ right + init` and what of it is needed.

    Members
    -------
    left, right, init : as `Operators.linear` and `Operators.attention` get them
    need : bool, broadcast to the result (..., M, N): outputs that somebody reads
    used : bool, broadcast to left (..., M, K): operands that differ from nothing and so are multiplied
    """

    site: Site
    left: Tensor
    right: Tensor
    init: Tensor
    need: Tensor = _ALL
    used: Tensor = _ALL


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


class Approximate(Operators):
    """Products of one sampling run through `features`, outermost first; `work` counts them.

    The innermost product is computed whole, so that a law can be checked against it; only what is needed is
    counted, and features never read the rest.
    """

    def __init__(self, features: Sequence[Feature], work: Work, record: Recorder | None = None) -> None:
        super().__init__(record)
        self.features, self.work = tuple(features), work

    def begin(self, step: int) -> None:
        """Say which denoising step comes next."""
        super().begin(step)
        for feature in self.features:
            feature.begin(step)

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
        result = self.run(product.site, "single", product.left, None, product.right, product.init)
        total, done = macs(product, result)
        self.work.total[product.site.kind] += total
        self.work.done[product.site.kind] += done
        return result
