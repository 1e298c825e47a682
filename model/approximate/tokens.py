# SPDX-License-Identifier: Apache-2.0
"""Attention on fewer tokens over a sampling run: what ORBIS, DiTo, AsymRnR and ToMe have in common.

A dropped query's row of scores is its destination's: every row-wise product that follows, up to the output
projection, then gives the destination's output, which is the recovery. A dropped key gets the least score, hence
probability 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.approximate.chain import Feature, Inner, Product
from model.approximate.work import Work
from model.exact.operators import Site
from model.exact.recover.tables import RowTable
from model.exact.sparsity.eager import LEAST
from model.networks import FULL, TEMPORAL


@dataclass(frozen=True)
class Dropped:
    """Tables of one layer's matrices: (A, N), or (A, H, N) where every head has its own.

    Members
    -------
    sources : int64, the token whose values each one takes
    computed : bool, whether it is computed
    """

    sources: Tensor
    computed: Tensor

    @classmethod
    def stack(cls, tables: list[RowTable]) -> Dropped:
        """From one table a matrix."""
        return cls(torch.stack([t.sources for t in tables]), torch.stack([t.computed for t in tables]))

    @property
    def counts(self) -> Tensor:
        """Of every token how many take its values, itself included; 0 where it is dropped."""
        return torch.zeros_like(self.sources).scatter_add(-1, self.sources, torch.ones_like(self.sources))

    def heads(self) -> Dropped:
        """With an axis for heads."""
        if self.sources.dim() == 3:
            return self
        return Dropped(self.sources[:, None], self.computed[:, None])


def as_matrices(x: Tensor, site: Site) -> Tensor:
    """(F, T, ...) as the matrices that attention mixes: (T, F, ...) if temporal, (1, F T, ...) if full."""
    if site.block == FULL:
        return x.flatten(0, 1)[None]
    return x.transpose(0, 1) if site.block == TEMPORAL else x


def as_frames(x: Tensor, site: Site, frames: int) -> Tensor:
    """The inverse of `as_matrices`, of a video of `frames`."""
    if site.block == FULL:
        return x[0].unflatten(0, (frames, -1))
    return x.transpose(0, 1) if site.block == TEMPORAL else x


class TokenReduction(Feature):
    """Applies the tables that a subclass finds: `queries[layer]` and `keys[layer]`, none for a dense layer."""

    def __init__(self, blocks: tuple[str, ...], work: Work) -> None:
        super().__init__(work)
        self.blocks = blocks
        self.queries: dict[int, Dropped] = {}
        self.keys: dict[int, Dropped] = {}

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`."""
        site = product.site
        if site.block not in self.blocks:
            return inner(product)
        match site.kind:
            case "qkv":
                return self._project(product, inner)
            case "scores":
                return self._scores(product, inner)
            case "values":
                return self._values(product, inner)
            case "out":
                return self._out(product, inner)
        return inner(product)

    def _project(self, product: Product, inner: Inner) -> Tensor:
        """Rows of Q, K, V of tokens that shared tables keep; tables of heads come too late."""
        site, third = product.site, product.right.shape[1] // 3
        parts = []
        for dropped in (self.queries.get(site.layer), self.keys.get(site.layer), self.keys.get(site.layer)):
            rows = torch.ones(product.left.shape[:2], dtype=torch.bool)
            if dropped is not None and dropped.sources.dim() == 2:
                rows = as_frames(dropped.computed, site, len(product.left))
            parts.append(rows[..., None].expand(*rows.shape, third))
        need = product.need & torch.cat(parts, -1)
        return torch.where(need, inner(replace(product, need=need)), 0)

    def _scores(self, product: Product, inner: Inner) -> Tensor:
        queries, keys = (tables.get(product.site.layer) for tables in (self.queries, self.keys))
        need = product.need
        if queries is not None:
            need = need & queries.heads().computed[..., None]
        if keys is not None:
            need = need & keys.heads().computed[..., None, :]
        result = inner(replace(product, need=need))
        if keys is not None:
            weighed = self._weighed(result, product.site, keys.heads())
            result = torch.where(keys.heads().computed[..., None, :], weighed, LEAST)
        return result if queries is None else self._recover(result, queries)

    def _weighed(self, result: Tensor, _: Site, __: Dropped) -> Tensor:
        """Scores (A, H, M, N) of keys that stand for others; the base counts a key once."""
        return result

    def _values(self, product: Product, inner: Inner) -> Tensor:
        queries, keys = (tables.get(product.site.layer) for tables in (self.queries, self.keys))
        need, used = product.need, product.used
        if queries is not None:
            need = need & queries.heads().computed[..., None]
        if keys is not None:
            used = used & keys.heads().computed[..., None, :]
        result = inner(replace(product, need=need, used=used))
        return result if queries is None else self._recover(result, queries)

    def _recover(self, result: Tensor, dropped: Dropped) -> Tensor:
        sources = dropped.heads().sources[..., None].expand(result.shape)
        return result.gather(2, sources)

    def _out(self, product: Product, inner: Inner) -> Tensor:
        queries = self.queries.get(product.site.layer)
        if queries is None or queries.sources.dim() == 3:
            return inner(product)
        frames = len(product.left)
        need = product.need & as_frames(queries.computed, product.site, frames)[..., None]
        result = as_matrices(inner(replace(product, need=need)), product.site)
        self.work.extra["tokens.rows_copied"] += int((~queries.computed).sum())
        filled = result.gather(1, queries.sources[..., None].expand(result.shape))
        return as_frames(filled, product.site, frames)
