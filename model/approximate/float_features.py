# SPDX-License-Identifier: Apache-2.0
"""The methods' decisions on float operands: what of each method is integer arithmetic, without it.

Operands are float64 in int8 places (`model.approximate.float_network`), so thresholds keep their unit. What a method
does with its decision is the base class's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hw.numerics import saturate
from model.approximate.chain import Feature, Inner, Product
from model.approximate.cmc import CMC
from model.approximate.config import CMCConfig
from model.approximate.exion import EagerPrediction, FFNReuse
from model.approximate.guided import ORBIS, DiTo
from model.approximate.random_tokens import AsymRnR, ToMe, cells
from model.approximate.tokens import Dropped, TokenReduction, as_matrices
from model.approximate.vida import ViDA
from model.approximate.work import Work
from model.exact.heads import join_heads, split_heads
from model.exact.match.datm import match
from model.exact.match.dito import Counted, Penalty
from model.exact.match.random_destinations import match_random
from model.exact.match.similarity import COSINE_BITS, Measure
from model.exact.match.similarity import narrow as narrow_integers
from model.exact.operators import Operators, Site
from model.exact.recover.tables import RowTable
from model.exact.sparsity.eager import Dominance, select
from model.exact.sparsity.leading_one import Detection
from model.exact.vector.scaling import Scale
from model.exact.vector.softmax import LOG2_FRACTION_BITS

#: CMC's and AsymRnR's searches are the integer laws, on operands rounded to this part of a place, as fine as float32.
FINE = 1 << 16


class FloatOperators(Operators):
    """Products in float64."""

    def run(self, site: Site, product: str, current: Tensor, reference: Tensor | None, right: Tensor, init: Tensor,
            start: int = 0) -> Tensor:
        """As `Operators.run`, nothing recorded."""
        return init + (current if reference is None else current - reference) @ right


class FloatViDA(FloatOperators, ViDA):
    """ViDA on float operands."""


def losses(sources: Tensor, destinations: Tensor, measure: Measure) -> Tensor:
    """As `model.exact.match.similarity.losses`, in float64; COSINE is not rounded down."""
    if measure is Measure.SAD:
        return torch.cdist(sources, destinations, p=1)
    dot = sources @ destinations.transpose(-1, -2)
    squares = (x.square().sum(-1) for x in (sources, destinations))
    lengths = torch.meshgrid(*squares, indexing="ij")
    if measure is Measure.SQUARED:
        return (sum(lengths) - 2 * dot).clamp(min=0)
    product = (lengths[0] * lengths[1]).clamp(min=torch.finfo(dot.dtype).tiny)
    return (1 << COSINE_BITS) * (1 - dot * dot.abs() / product)


class FloatCMC(CMC):
    """CMC's searches on float operands."""

    def __init__(self, config: CMCConfig, grid: tuple[int, int], work: Work) -> None:
        names = ("threshold", "query_threshold", "score_threshold")
        scaled = {name: getattr(config, name) * FINE for name in names if getattr(config, name) is not None}
        super().__init__(config.model_copy(update=scaled), grid, work)

    def _search(self, product: Product) -> RowTable:
        return super()._search(replace(product, left=_fine(product.left)))

    def _attend(self, product: Product, inner: Inner) -> Tensor:
        if self._threshold(product.site.kind) is None:
            return super()._attend(product, inner)
        fine = replace(product, left=_fine(product.left))
        return super()._attend(fine, lambda changed: inner(replace(changed, left=changed.left.double() / FINE)))


def _fine(x: Tensor) -> Tensor:
    return torch.floor(x * FINE + 0.5).long()


class FloatFFNReuse(FFNReuse):
    """FFN-Reuse with the mask of float GELU outputs."""

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`."""
        if product.site.kind != "fc2" or not self.dense:
            super().observe(product, result)
            return
        threshold = self.config.threshold
        if threshold is None:
            threshold = quantile_threshold(product.left, self.config.permille)
        self.kept[product.site.layer] = product.left
        self.masks[product.site.layer] = product.left.abs() > threshold


def quantile_threshold(hidden: Tensor, permille: int) -> float:
    """As `model.exact.sparsity.ffn_reuse.quantile_threshold`: the largest magnitude that is not among the share."""
    allowed = hidden.numel() * permille // 1000
    if allowed == hidden.numel():
        return 0.0
    return hidden.abs().flatten().sort(descending=True).values[allowed].item()


class FloatEagerPrediction(EagerPrediction):
    """Eager prediction by the leading ones of float operands, below the point too."""

    def _needed_rows(self, product: Product) -> Tensor:
        site, config, heads = product.site, self.config, self.network.config.heads
        attention = self.network.attention(site.layer, site.block)
        sums = log_product(product.left, product.right, config.detection) + product.init
        predicted = sums * attention.qkv_scale.factor
        queries, keys, _ = (split_heads(part, heads, site.block) for part in predicted.chunk(3, -1))
        scores = log_product(queries, keys.transpose(-1, -2), config.detection)
        limit = max(1, scores.shape[-1] * config.permille // 1000)
        rows = dominated_rows(scores, config.dominance, config.dominance_threshold, attention.softmax)
        chosen = self.selections[site.layer] = select(scores, limit, rows)
        needs = (chosen.queries, chosen.keys, chosen.values)
        outputs = (one[..., None].expand(queries.shape) for one in needs)
        return torch.cat([join_heads(one, len(product.left), site.block) for one in outputs], -1)


def leading_terms(x: Tensor, steps: int) -> Tensor:
    """Floats (...) with only the `steps` highest ones of each magnitude's binary form left; 0 stays 0."""
    rest, kept = x.abs(), torch.zeros_like(x)
    for _ in range(steps):
        exponent = torch.frexp(rest).exponent - 1
        term = torch.where(rest > 0, torch.ldexp(torch.ones_like(x), exponent), 0)
        kept, rest = kept + term, rest - term
    return torch.where(x < 0, -kept, kept)


def log_product(left: Tensor, right: Tensor, detection: Detection) -> Tensor:
    """As `model.exact.sparsity.leading_one.log_matmul`, of floats."""
    steps = {Detection.ONE: (1, 1), Detection.TWO: (2, 2), Detection.LEFT: (2, 1)}[detection]
    return leading_terms(left, steps[0]) @ leading_terms(right, steps[1])


def dominated_rows(scores: Tensor, rule: Dominance, threshold: int, scale: Scale) -> Tensor:
    """As `model.exact.sparsity.eager.dominated_rows`, by exact softmax."""
    if rule is Dominance.NEVER or scores.shape[-1] == 1:
        return torch.full(scores.shape[:-1], rule is not Dominance.NEVER)
    log2 = scores * scale.factor
    if rule is Dominance.MARGIN:
        first, second = log2.topk(2, dim=-1).values.unbind(-1)
        return first - second >= threshold
    p = torch.exp2((log2 - log2.amax(-1, keepdim=True)) / (1 << LOG2_FRACTION_BITS))
    return 1000 >= p.sum(-1) * threshold


def narrow(features: Tensor, bits: int) -> Tensor:
    """Features (...) as similarity sees them: int8 values, at 8 or 4 bits as `model.exact.match.similarity.narrow`."""
    return narrow_integers(saturate(torch.floor(features + 0.5).long(), 8), bits).double()


class _FloatGuided(TokenReduction):
    """Matching of ORBIS and DiTo on the quantised features of a float run: `bits` wide, since that is the method's."""

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`; accumulators as features are brought to the int8 law's size."""
        site, config = product.site, self.config
        if site.kind == "out" and config.after_projection and site.block in self.blocks and self.matches:
            shift = max(0, int(result.abs().max()).bit_length() - 7)
            self._adopt(site.layer, as_matrices(result / (1 << shift), site))
        else:
            super().observe(product, result)

    def _offsets(self, counts: Tensor, scale: Scale) -> Tensor:
        return counts.clamp(min=1).log2() * (1 << LOG2_FRACTION_BITS) / scale.factor

    def _tables(self, features: Tensor, ratio: float, change: Callable[[int, Tensor], Tensor]) -> list[RowTable]:
        config, tokens = self.config, features.shape[1]
        count = None if config.destinations is None else max(1, int(tokens * config.destinations))
        return [
            match(change(place, losses(x, x, config.measure)), int(tokens * ratio), config.rule, count, config.radius)
            for place, x in enumerate(narrow(features, config.bits))
        ]


class FloatORBIS(_FloatGuided, ORBIS):
    """ORBIS on a float run."""


class FloatDiTo(_FloatGuided, DiTo):
    """DiTo on a float run."""

    def _loss(self, layer: int, place: int, loss: Tensor) -> Tensor:
        if self.config.penalty is Penalty.ADD:
            return super()._loss(layer, place, loss)
        counts = self._counts(layer, place, len(loss))
        factor = 256 + self.config.weight * (counts[:, None] if self.config.counted is Counted.SOURCE else counts)
        return torch.where(torch.eye(len(loss), dtype=torch.bool), loss, loss * factor / 256)


class FloatAsymRnR(AsymRnR):
    """AsymRnR by float similarity."""

    def observe(self, product: Product, result: Tensor) -> None:
        """As `Feature.observe`."""
        site, network = product.site, self.network
        if self._fresh(product) and site.kind == "qkv" and self.config.kv_ratio:
            v = (result * network.attention(site.layer, site.block).qkv_scale.factor).chunk(3, -1)[2]
            self.keys[site.layer] = self._match(split_heads(v, network.config.heads, site.block), self.config.kv_ratio)

    def _match(self, features: Tensor, ratio: float) -> Dropped:
        return super()._match(_fine(features), ratio)


class FloatToMe(ToMe):
    """ToMe by float similarity, with unrounded means."""

    def _merge(self, site: Site, rows: Tensor) -> Tensor:
        drop, (grid, stride) = int(rows.shape[1] * self.config.ratio), cells(self.network, self.config, rows.shape[1])
        tables = [match_random(losses(x, x, Measure.COSINE), grid, stride, drop, self.numbers) for x in rows]
        self.queries[site.layer] = self.keys[site.layer] = Dropped.stack(tables)
        return torch.stack([spread_mean(x, table) for x, table in zip(rows, tables, strict=True)])


def spread_mean(rows: Tensor, table: RowTable) -> Tensor:
    """Rows (N, d), each the mean of all that have its source."""
    sums = torch.zeros_like(rows).index_add(0, table.sources, rows)
    count = torch.bincount(table.sources, minlength=table.size).clamp(min=1)
    return (sums / count[:, None])[table.sources]


#: Feature of an integer method -> its twin, of the same parameters.
TWINS: dict[type[Feature], type[Feature]] = {
    CMC: FloatCMC, ORBIS: FloatORBIS, DiTo: FloatDiTo, AsymRnR: FloatAsymRnR, ToMe: FloatToMe,
    EagerPrediction: FloatEagerPrediction, FFNReuse: FloatFFNReuse}
