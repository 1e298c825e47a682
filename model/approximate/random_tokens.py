# SPDX-License-Identifier: Apache-2.0
"""AsymRnR and ToMe over a sampling run: random destinations among the tokens that an attention mixes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from model.approximate.chain import Inner, Product
from model.approximate.config import AsymRnRConfig, ToMeConfig
from model.approximate.tokens import Dropped, TokenReduction, as_frames, as_matrices
from model.approximate.work import Work
from model.exact.heads import split_heads
from model.exact.match.random_destinations import match_random, merge_mean, xorshift32
from model.exact.match.similarity import Measure, losses
from model.exact.network import QuantisedNetwork
from model.exact.operators import Site
from model.exact.recover.tables import recover
from model.exact.vector.scaling import requantise8
from model.networks import FULL, SPATIAL

_BLOCKS = (SPATIAL, FULL)


def cells(network: QuantisedNetwork, config: AsymRnRConfig | ToMeConfig, tokens: int) -> tuple[tuple[int, ...], ...]:
    """Grid of the `tokens` that an attention mixes, of a frame or of all, and the stride of its cells."""
    side = network.config.size // network.config.patch
    if tokens == side * side:
        return (side, side), config.stride
    return (network.config.frames, side, side), (config.frame_stride, *config.stride)


class AsymRnR(TokenReduction):
    """Every `interval`-th step matches Q and V of each head as they come; the others reuse the tables."""

    def __init__(self, config: AsymRnRConfig, network: QuantisedNetwork, work: Work) -> None:
        super().__init__(_BLOCKS, work)
        self.config, self.network = config, network
        self.numbers = xorshift32(config.seed)

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`; Q is matched before its scores."""
        site = product.site
        if self._fresh(product) and site.kind == "scores" and self.config.q_ratio:
            self.queries[site.layer] = self._match(product.left, self.config.q_ratio)
        return super().product(product, inner)

    def observe(self, product: Product, result: Tensor) -> None:
        """Match V, which is projected together with Q."""
        site, config = product.site, self.network.config
        if self._fresh(product) and site.kind == "qkv" and self.config.kv_ratio:
            v = requantise8(result, self.network.attention(site.layer, site.block).qkv_scale).chunk(3, -1)[2]
            self.keys[site.layer] = self._match(split_heads(v, config.heads, site.block), self.config.kv_ratio)

    def _fresh(self, product: Product) -> bool:
        return self.step % self.config.interval == 0 and product.site.block in self.blocks

    def _match(self, features: Tensor, ratio: float) -> Dropped:
        tokens = features.shape[2]
        drop, (grid, stride) = tokens - int(tokens * (1 - ratio)), cells(self.network, self.config, tokens)
        self.work.extra["match.element_operations"] += features.numel() * tokens
        loss = losses(features, features, Measure.SQUARED).flatten(0, 1)  # (F H, T, T)
        found = Dropped.stack([match_random(one, grid, stride, drop, self.numbers) for one in loss])
        return Dropped(*(x.reshape(features.shape[:3]) for x in (found.sources, found.computed)))


class ToMe(TokenReduction):
    """Every step matches a block's input and runs attention on means; outputs are copied back."""

    def __init__(self, config: ToMeConfig, network: QuantisedNetwork, work: Work) -> None:
        super().__init__(_BLOCKS, work)
        self.config, self.network = config, network
        self.numbers = xorshift32(config.seed)

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`; rows are merged before the projection."""
        site = product.site
        if site.kind == "qkv" and site.block in self.blocks:
            merged = self._merge(site, as_matrices(product.left, site))
            product = replace(product, left=as_frames(merged, site, self.network.config.frames))
        return super().product(product, inner)

    def _merge(self, site: Site, rows: Tensor) -> Tensor:
        """Rows (A, N, D) with each token replaced by the mean that stands for it."""
        drop, (grid, stride) = int(rows.shape[1] * self.config.ratio), cells(self.network, self.config, rows.shape[1])
        self.work.extra["match.element_operations"] += rows.numel() * rows.shape[1]
        tables = [match_random(losses(x, x, Measure.COSINE), grid, stride, drop, self.numbers) for x in rows]
        self.queries[site.layer] = self.keys[site.layer] = Dropped.stack(tables)
        return torch.stack([recover(merge_mean(x, table), table) for x, table in zip(rows, tables, strict=True)])
