# SPDX-License-Identifier: Apache-2.0
"""Products through a chain of features, each of which may rewrite operands, leave outputs out and fill them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.approximate.work import Work
from model.exact.encode.nibbles import Nibbles, count_items
from model.exact.operators import Job, Operators, Recorder, Site
from model.exact.traffic import SUM_BYTES, Traffic
from model.exact.vector.scaling import Scale
from model.networks import CROSS

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

    @property
    def whole(self) -> bool:
        """Whether every output is needed and every operand used."""
        return self.need is _ALL and self.used is _ALL


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
    total = result.numel() * product.left.shape[-1]
    if product.whole:
        return total, total
    outputs = product.need.expand(result.shape).sum(-1)
    operands = product.used.expand(product.left.shape).sum(-1)
    return total, int((outputs * operands).sum())


def digit_products(job: Job, product: Product, nibbles: Nibbles = Nibbles.DIGITS) -> tuple[int, int]:
    """Multiplications of a non-zero digit by an 8-bit value that a job of `product` needs, and of a non-zero operand.

    Digits are the encoder's, or what `nibbles` takes for them. A row's digits go to its needed outputs; the second of
    two products is transposed.
    """
    reference = job.reference if product.carried is None else product.carried
    count = count_items(job.current - reference, nibbles)
    if product.whole:
        columns = job.result.shape[-1]
        return int(count.sum()) * columns, int(count.count_nonzero()) * columns
    need = product.need.expand(*product.left.shape[:-1], product.right.shape[-1])
    if job.product == "second":
        outputs = need.sum(-2)
    else:
        count, outputs = count * product.used, need.sum(-1)
    return int((count.sum(-1) * outputs).sum()), int(((count != 0).sum(-1) * outputs).sum())


def moved_bytes(product: Product, result: Tensor, jobs: Sequence[Job], traffic: Traffic | None = None) -> int:
    """Bytes in and out of DRAM of a product alone, modelled: docs/measuring.md.

    Operands that are multiplied and needed results at one byte; with a timestep before it also the operands before,
    and the sums in and out, or what `traffic` says; with a frame before it the difference's other operand: its sums
    stay in the array.
    """
    left, right, results, rows = _read_and_written(product, result)
    total, kind = left + right + results, jobs[0].reference_kind
    if product.carried is not None:
        return total + left + SUM_BYTES * results
    if kind == "timestep":
        if traffic is None:
            first = not any(int(job.reference.count_nonzero()) for job in jobs)
            traffic = Traffic(reference=0, carried=8 * SUM_BYTES) if first else Traffic()
        changes = product.right.dim() > 2 and product.site.block != CROSS and traffic.reference
        bits = left * (traffic.operand + traffic.reference) + right * (16 if changes else 8)
        bits += results * (traffic.result + traffic.carried) + rows * traffic.row
        return -(-bits // 8)
    if kind == "frame":
        return total + (right if any(job.product in ("one", "second") for job in jobs) else left)
    return total


def _read_and_written(product: Product, result: Tensor) -> tuple[int, int, int, int]:
    """Operands that are multiplied, left and right, needed results, and the rows that have any."""
    if product.whole:
        return product.left.numel(), product.right.numel(), result.numel(), result.numel() // result.shape[-1]
    need, used = product.need.expand(result.shape), product.used.expand(product.left.shape)
    rows = need.any(-1, keepdim=True)
    columns = need.flatten(0, -2).any(0) if product.right.dim() == 2 else need.any(-2)
    return int((rows & used).sum()), int(columns.sum()) * product.right.shape[-2], int(need.sum()), int(rows.sum())


class Approximate(Operators):
    """Products of one sampling run through `features`, outermost first; `work` counts them.

    The innermost product is computed whole, from whole operands or by a method of differences; only what is needed
    is counted, and features never read the rest.

    Parameters
    ----------
    features : outermost first
    work : where to count
    record : called with every innermost `Job`, whole
    counting : False leaves `work` to the features, which is quicker
    exact : makes what computes the innermost product, from who records its jobs: `Operators`, `ViDA`, ...
    """

    def __init__(
        self,
        features: Sequence[Feature],
        work: Work,
        record: Recorder | None = None,
        exact: Callable[[Recorder], Operators] = Operators,
        counting: bool = True,
    ) -> None:
        super().__init__(record)
        self.features, self.work = tuple(features), work
        self.jobs: list[Job] = []
        self.exact, self.counting = exact(self.jobs.append), counting

    def begin(self, step: int) -> None:
        """Say which denoising step comes next."""
        super().begin(step)
        for part in (self.exact, *self.features):
            part.begin(step)

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """As `Operators.linear`, approximate where a feature says so."""
        return self._through(Product(site, left, right, bias.to(left.dtype).expand(*left.shape[:-1], -1)))

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Operators.attention`, approximate where a feature says so."""
        return self._through(Product(site, left, right, left.new_zeros(())))

    def requantised(self, site: Site, acc: Tensor, scale: Scale) -> Tensor:
        """As `Operators.requantised`, by what computes the innermost product."""
        return self.exact.requantised(site, acc, scale)

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
        if self.counting:
            self._count(product, result)
        for job in self.jobs if self.record is not None else ():
            self.record(job)
        self.jobs.clear()
        return result

    def _count(self, product: Product, result: Tensor) -> None:
        kind, work = product.site.kind, self.work
        total, done = macs(product, result)
        work.total[kind] += total
        work.done[kind] += done
        work.bytes_total[kind] += product.left.numel() + product.right.numel() + result.numel()
        traffic = self.exact.traffic(product.site)
        moved = plain = moved_bytes(product, result, self.jobs)
        if traffic is not None:
            moved = moved_bytes(product, result, self.jobs, traffic)
            work.extra["ditto.bytes_spared"] += plain - moved
        work.bytes[kind] += moved
        for job in self.jobs:
            multiplied, busy = digit_products(job, product, self.exact.nibbles)
            work.digits[kind] += multiplied
            work.busy[product.site, self.step] += busy
            work.asked[product.site, self.step] += job.current.numel() * job.result.shape[-1]
