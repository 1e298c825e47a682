# SPDX-License-Identifier: Apache-2.0
"""AsymRnR and ToMe where Q, K and V may have projections of their own, on a grid that a layout tells."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from model.approximate.chain import Inner, Product
from model.approximate.config import AsymRnRConfig, ToMeConfig
from model.approximate.random_tokens import AsymRnR, ToMe
from model.approximate.tokens import Dropped, TokenReduction
from model.approximate.work import Work
from model.attach.features import Parts, Projected, part_of
from model.attach.layout import Geometry
from model.exact.heads import split_heads
from model.exact.match.random_destinations import match_random, merge_mean, xorshift32
from model.exact.match.similarity import Measure, losses
from model.exact.recover.tables import RowTable, recover
from model.exact.vector.scaling import requantise8
from model.networks import FULL, SPATIAL


class PartsAsymRnR(Parts, AsymRnR):
    """AsymRnR on a given grid; the cells of full attention are those of single frames."""

    def __init__(self, config: AsymRnRConfig, geometry: Geometry, attentions: dict[int, Projected], work: Work) -> None:
        TokenReduction.__init__(self, (SPATIAL, FULL), work)
        self.config, self.geometry, self.attentions = config, geometry, attentions
        self.numbers = xorshift32(config.seed)

    def observe(self, product: Product, result: Tensor) -> None:
        """Match V, as its projection gives it."""
        site, parts = product.site, part_of(product)
        if self._fresh(product) and site.kind == "qkv" and "v" in parts and self.config.kv_ratio:
            attention = self.attentions[site.layer]
            v = requantise8(result.chunk(len(parts), -1)[parts.index("v")], attention.parts["v"].scale)
            self.keys[site.layer] = self._match(split_heads(v, attention.heads, site.block), self.config.kv_ratio)

    def _match(self, features: Tensor, ratio: float) -> Dropped:
        g, stride = self.geometry, self.config.stride
        if features.shape[2] == self.prefix + g.frames * g.tokens:
            features = features[:, :, self.prefix :]
        tokens = features.shape[2]
        whole = tokens == g.frames * g.tokens and len(features) == 1
        grid, cell = ((g.frames, g.rows, g.columns), (1, *stride)) if whole else ((g.rows, g.columns), stride)
        drop = tokens - int(tokens * (1 - ratio))
        self.work.extra["match.element_operations"] += features.numel() * tokens
        loss = losses(features, features, Measure.SQUARED).flatten(0, 1)
        found = Dropped.stack([match_random(one, grid, cell, drop, self.numbers) for one in loss])
        return Dropped(*(x.reshape(features.shape[:3]) for x in (found.sources, found.computed)))


class PartsToMe(Parts, ToMe):
    """ToMe on a given grid, in single frames; the three projections of a step share their tables."""

    def __init__(self, config: ToMeConfig, geometry: Geometry, work: Work) -> None:
        TokenReduction.__init__(self, (SPATIAL, FULL), work)
        self.config, self.geometry = config, geometry
        self.numbers = xorshift32(config.seed)
        self.tables: dict[int, tuple[int, list[RowTable]]] = {}

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`; rows are merged before a projection."""
        site = product.site
        if site.kind == "qkv" and site.block in self.blocks:
            tables = self._tables_of(site.layer, site.block, product.left)
            merged = [recover(merge_mean(x, table), table) for x, table in zip(product.left, tables, strict=True)]
            product = replace(product, left=torch.stack(merged))
        return TokenReduction.product(self, product, inner)

    def _tables_of(self, layer: int, axis: str, rows: Tensor) -> list[RowTable]:
        step, tables = self.tables.get(layer, (-1, []))
        if step != self.step:
            g, drop = self.geometry, int(rows.shape[1] * self.config.ratio)
            self.work.extra["match.element_operations"] += rows.numel() * rows.shape[1]
            tables = [match_random(losses(x, x, Measure.COSINE), (g.rows, g.columns), self.config.stride, drop,
                                   self.numbers) for x in rows]
            self.tables[layer] = self.step, tables
            dropped = Dropped.stack(tables)
            if axis == FULL:
                first = torch.arange(len(rows))[:, None] * rows.shape[1]
                dropped = Dropped((dropped.sources + first).reshape(1, -1), dropped.computed.reshape(1, -1))
            self.queries[layer] = self.keys[layer] = dropped
        return tables
