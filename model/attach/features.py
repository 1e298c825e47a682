# SPDX-License-Identifier: Apache-2.0
"""The methods' features where Q, K and V may have projections of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.approximate.chain import Feature, Inner, Product
from model.approximate.cmc import CMC
from model.approximate.config import AsymRnRConfig, CMCConfig, EagerConfig, ToMeConfig
from model.approximate.exion import EagerPrediction
from model.approximate.guided import ORBIS, DiTo
from model.approximate.random_tokens import AsymRnR, ToMe
from model.approximate.tokens import Dropped, TokenReduction, as_frames
from model.approximate.work import Work
from model.attach.layout import Geometry
from model.attach.sites import LayerSite
from model.exact.heads import join_heads, split_heads
from model.exact.match.random_destinations import match_random, merge_mean, xorshift32
from model.exact.match.similarity import Measure, losses
from model.exact.recover.tables import RowTable, recover
from model.exact.sparsity.eager import dominated_rows, predict_projection, predict_scores, select
from model.exact.sparsity.leading_one import shift_adds
from model.exact.vector.scaling import Scale, requantise8
from model.exact.vector.tables import build_tables
from model.networks import FULL, SPATIAL


@dataclass(frozen=True)
class Projection:
    """Integers of the layer that gives Q, K or V: weights (K, D), bias (D,), and to the operand's int8."""

    right: Tensor
    bias: Tensor
    scale: Scale


@dataclass(frozen=True)
class Projected:
    """An attention's projections of `q`, `k` and `v` where they are known, its heads and its softmax's scale."""

    parts: dict[str, Projection]
    heads: int
    softmax: Scale


class Only(Feature):
    """A feature on the layers that it serves; the others pass it by."""

    def __init__(self, feature: Feature, layers: Collection[int]) -> None:
        super().__init__(feature.work)
        self.feature, self.layers = feature, frozenset(layers)

    def begin(self, step: int) -> None:
        """As `Feature.begin`."""
        self.feature.begin(step)

    def _serves(self, product: Product) -> bool:
        return product.site.layer in self.layers

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`."""
        return self.feature.product(product, inner) if self._serves(product) else inner(product)

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`."""
        if self._serves(product):
            self.feature.observe(product, result)


def part_of(product: Product) -> str:
    """Which of Q, K and V a projection gives."""
    site = product.site
    return site.part if isinstance(site, LayerSite) else "qkv"


class _Parts(TokenReduction):
    """Projections of any of Q, K and V; tables are of the video's tokens, `prefix` of text before them are computed."""

    prefix = 0

    def _scores(self, product: Product, inner: Inner) -> Tensor:
        return self._with_text(product.site.layer, lambda: super(_Parts, self)._scores(product, inner))

    def _values(self, product: Product, inner: Inner) -> Tensor:
        return self._with_text(product.site.layer, lambda: super(_Parts, self)._values(product, inner))

    def _with_text(self, layer: int, run: Callable[[], Tensor]) -> Tensor:
        """`run` with tables of whole matrices of attention."""
        if not self.prefix:
            return run()
        tables = self.queries, self.keys
        self.queries, self.keys = ({layer: self._padded(one[layer])} if layer in one else {} for one in tables)
        try:
            return run()
        finally:
            self.queries, self.keys = tables

    def _padded(self, dropped: Dropped) -> Dropped:
        text = torch.arange(self.prefix).expand(*dropped.sources.shape[:-1], -1)
        sources = torch.cat((text, dropped.sources + self.prefix), -1)
        return Dropped(sources, torch.cat((torch.ones(text.shape, dtype=torch.bool), dropped.computed), -1))

    def _without_text(self, product: Product) -> Product:
        """A product whose keys or values are those of the video's tokens."""
        if self.prefix and product.site.kind == "values":
            return replace(product, right=product.right[..., self.prefix :, :])
        return product

    def _project(self, product: Product, inner: Inner) -> Tensor:
        site, parts, needed = product.site, part_of(product), []
        width = product.right.shape[1] // max(1, len(parts))
        for part in parts:
            dropped = (self.queries if part == "q" else self.keys).get(site.layer)
            rows = torch.ones(product.left.shape[:2], dtype=torch.bool)
            if dropped is not None and dropped.sources.dim() == 2:
                rows = as_frames(dropped.computed, site, len(rows))
            needed.append(rows[..., None].expand(*rows.shape, width))
        need = product.need & torch.cat(needed, -1)
        return torch.where(need, inner(replace(product, need=need)), 0)


class PartsORBIS(_Parts, ORBIS):
    """ORBIS; with INPUT as a guide the projection of Q is where it matches."""

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`."""
        if product.site.kind == "qkv" and "q" not in part_of(product):
            return TokenReduction.product(self, product, inner)
        return super().product(product, inner)

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`."""
        super().observe(self._without_text(product), result)


class PartsDiTo(_Parts, DiTo):
    """DiTo."""

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`."""
        super().observe(self._without_text(product), result)


class PartsAsymRnR(_Parts, AsymRnR):
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


class PartsToMe(_Parts, ToMe):
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


class PartsCMC(CMC):
    """CMC on a given grid; projections of one input share a search."""

    def __init__(self, config: CMCConfig, geometry: Geometry, work: Work) -> None:
        super().__init__(config, (geometry.rows, geometry.columns), work)
        self.searched: tuple[Tensor, RowTable] | None = None

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`; rows of a single frame have none to copy from."""
        linear = product.site.kind not in ("scores", "values")
        return inner(product) if linear and len(product.left) == 1 else super().product(product, inner)

    def _search(self, product: Product) -> RowTable:
        if self.searched is None or not torch.equal(self.searched[0], product.left):
            self.searched = product.left, super()._search(product)
        return self.searched[1]


class PartsEager(EagerPrediction):
    """Eager prediction at the first projection of a step: Q, K and V share their input."""

    def __init__(self, config: EagerConfig, attentions: dict[int, Projected], work: Work) -> None:
        Feature.__init__(self, work)
        self.config, self.attentions = config, attentions
        self.selections = {}
        self.selected: dict[int, int] = {}

    def _needed_rows(self, product: Product) -> Tensor:
        site = product.site
        if self.selected.get(site.layer) != self.step:
            self._select(product)
            self.selected[site.layer] = self.step
        chosen, attention = self.selections[site.layer], self.attentions[site.layer]
        rows = {"q": chosen.queries, "k": chosen.keys, "v": chosen.values}
        width = product.right.shape[1] // len(part_of(product)) // attention.heads
        needed = (rows[part][..., None].expand(*rows[part].shape, width) for part in part_of(product))
        return torch.cat([join_heads(one, len(product.left), site.block) for one in needed], -1)

    def _select(self, product: Product) -> None:
        site, detection = product.site, self.config.detection
        attention = self.attentions[site.layer]
        predicted = []
        for part in "qk":
            one = attention.parts[part]
            values = predict_projection(product.left, one.right, one.bias, one.scale, detection)
            predicted.append(split_heads(values, attention.heads, site.block))
            self.work.extra["exion.shift_adds"] += shift_adds(product.left, one.right, detection)
        queries, keys = predicted
        scores = predict_scores(queries, keys, detection)
        self.work.extra["exion.shift_adds"] += shift_adds(queries, keys.transpose(-1, -2), detection)
        rule, threshold = self.config.dominance, self.config.dominance_threshold
        rows = dominated_rows(scores, rule, threshold, attention.softmax, build_tables().exp2)
        limit = max(1, scores.shape[-1] * self.config.permille // 1000)
        chosen = self.selections[site.layer] = select(scores, limit, rows)
        self.work.extra["exion.rows"] += rows.numel()
        self.work.extra["exion.rows_dominated"] += int(rows.sum())
        self.work.extra["exion.scores_kept"] += int(chosen.keep.sum())
