# SPDX-License-Identifier: Apache-2.0
"""The methods' features where Q, K and V may have projections of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.approximate.chain import Feature, Inner, Product
from model.approximate.cmc import CMC
from model.approximate.config import CMCConfig, DiToConfig, EagerConfig
from model.approximate.exion import EagerPrediction
from model.approximate.guided import ORBIS, DiTo
from model.approximate.tokens import Dropped, TokenReduction, as_frames
from model.approximate.work import Work
from model.attach.layout import Geometry
from model.attach.sites import LayerSite
from model.exact.heads import join_heads, split_heads
from model.exact.recover.tables import RowTable
from model.exact.sparsity.eager import dominated_rows, predict_projection, predict_scores, select
from model.exact.sparsity.leading_one import shift_adds
from model.exact.vector.scaling import Scale
from model.exact.vector.tables import build_tables


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


class Parts(TokenReduction):
    """Projections of any of Q, K and V; tables are of the video's tokens, `prefix` of text before them are computed."""

    prefix = 0

    def _scores(self, product: Product, inner: Inner) -> Tensor:
        return self._with_text(product.site.layer, lambda: super(Parts, self)._scores(product, inner))

    def _values(self, product: Product, inner: Inner) -> Tensor:
        return self._with_text(product.site.layer, lambda: super(Parts, self)._values(product, inner))

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


class PartsORBIS(Parts, ORBIS):
    """ORBIS; with INPUT as a guide the projection of Q is where it matches."""

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`."""
        if product.site.kind == "qkv" and "q" not in part_of(product):
            return TokenReduction.product(self, product, inner)
        return super().product(product, inner)

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`."""
        super().observe(self._without_text(product), result)


class PartsDiTo(Parts, DiTo):
    """DiTo; `history` has the tables of every matching timestep."""

    def __init__(self, config: DiToConfig, steps: frozenset[int], work: Work) -> None:
        super().__init__(config, steps, work)
        self.history: dict[int, list[RowTable]] = {}

    def _adopt(self, layer: int, features: Tensor) -> None:
        super()._adopt(layer, features)
        self.history.setdefault(self.step, []).extend(self.found[layer])

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`."""
        super().observe(self._without_text(product), result)


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
