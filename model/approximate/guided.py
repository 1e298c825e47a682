# SPDX-License-Identifier: Apache-2.0
"""ORBIS and DiTo over a sampling run: tables from outputs of an earlier timestep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from hw.numerics import round_shift, saturate
from model.approximate.chain import Inner, Product
from model.approximate.config import DiToConfig, Guide, KeyGuide, KeyWeight, ORBISConfig
from model.approximate.tokens import Dropped, TokenReduction, as_matrices
from model.approximate.work import Work
from model.exact.match.datm import match
from model.exact.match.dito import count_selections, penalised
from model.exact.match.key_weights import key_offsets
from model.exact.match.similarity import losses, narrow
from model.exact.network import QuantisedNetwork
from model.exact.operators import Site
from model.exact.recover.tables import RowTable
from model.exact.vector.scaling import Scale


def narrow_sums(acc: Tensor) -> Tensor:
    """Accumulators as int8 features: shifted, rounded half up, until the largest magnitude fits; saturated."""
    shift = max(0, int(acc.abs().max()).bit_length() - 7)
    return saturate(round_shift(acc, shift), 8)


class _Guided(TokenReduction, ABC):
    """Tables from the features of a matching timestep; subclasses say when, and may change the loss.

    `network` gives the scale of the scores, which PROPORTIONAL weights of keys need.
    """

    def __init__(self, config: ORBISConfig | DiToConfig, work: Work, network: QuantisedNetwork | None = None) -> None:
        super().__init__(config.blocks, work)
        self.config, self.network = config, network
        self.found: dict[int, list[RowTable]] = {}

    def begin(self, step: int) -> None:
        """As `Feature.begin`: an unreduced timestep has no tables."""
        super().begin(step)
        if self.unreduced:
            self.queries.clear()
            self.keys.clear()

    @property
    def unreduced(self) -> bool:
        """Whether this timestep computes every token."""
        return self.matches

    def observe(self, product: Product, result: Tensor) -> None:
        """Match on what attention gave, and on V where it guides the keys."""
        site = product.site
        if site.block not in self.blocks or not self.matches:
            return
        if site.kind == "out":
            features = narrow_sums(result) if self.config.after_projection else product.left
            self._adopt(site.layer, as_matrices(features, site))
        elif site.kind == "values" and self.config.kv_ratio and self.config.kv_guide is KeyGuide.VALUE:
            values = product.right.transpose(1, 2).flatten(2)  # (A, H, N, d) to (A, N, H d)
            self.keys[site.layer] = Dropped.stack(self._tables(values, self.config.kv_ratio, self._plain))

    @property
    @abstractmethod
    def matches(self) -> bool:
        """Whether this timestep's outputs are matched."""

    def _weighed(self, result: Tensor, site: Site, dropped: Dropped) -> Tensor:
        if self.config.key_weight is KeyWeight.LOST:
            return result
        offsets = self._offsets(dropped.counts, self.network.attention(site.layer, site.block).softmax)
        return result + offsets[..., None, :]

    def _offsets(self, counts: Tensor, scale: Scale) -> Tensor:
        return key_offsets(counts, scale)

    def _adopt(self, layer: int, features: Tensor) -> None:
        """Tables for the queries, and for the keys where they share the guide, from features (A, N, d)."""
        config = self.config
        self.found[layer] = self._tables(features, config.q_ratio, lambda place, loss: self._loss(layer, place, loss))
        self.queries[layer] = Dropped.stack(self.found[layer])
        if config.kv_ratio and config.kv_guide is KeyGuide.SAME:
            self.keys[layer] = Dropped.stack(self._tables(features, config.kv_ratio, self._plain))

    def _tables(self, features: Tensor, ratio: float, change: Callable[[int, Tensor], Tensor]) -> list[RowTable]:
        config, (matrices, tokens, dim) = self.config, features.shape
        small, drop = narrow(features, config.bits), int(tokens * ratio)
        count = None if config.destinations is None else max(1, int(tokens * config.destinations))
        self.work.extra["match.element_operations"] += matrices * tokens * tokens * dim
        return [
            match(change(place, losses(x, x, config.measure)), drop, config.rule, count, config.radius)
            for place, x in enumerate(small)
        ]

    def _loss(self, layer: int, place: int, loss: Tensor) -> Tensor:
        return loss

    @staticmethod
    def _plain(_: int, loss: Tensor) -> Tensor:
        return loss


class ORBIS(_Guided):
    """Every `refresh`-th timestep is unreduced and matched; with INPUT as a guide the others match as they go."""

    config: ORBISConfig

    @property
    def unreduced(self) -> bool:
        """As `_Guided.unreduced`, apart from what is matched."""
        return self.step % self.config.refresh == 0

    @property
    def matches(self) -> bool:
        """As `_Guided.matches`: before the first reduced step, and with `rematch` after each reduced one."""
        return self.config.guide is Guide.OUTPUT and (self.unreduced or self.config.rematch)

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`; with INPUT as a guide the projection's operand is matched first."""
        site = product.site
        fresh = self.config.guide is Guide.INPUT and not self.unreduced
        if fresh and site.kind == "qkv" and site.block in self.blocks:
            self._adopt(site.layer, as_matrices(product.left, site))
        return super().product(product, inner)


class DiTo(_Guided):
    """Matching timesteps are unreduced; every other one reuses their tables.

    Parameters
    ----------
    steps : matching timesteps; step 0 must be one
    network : as `_Guided`'s
    """

    config: DiToConfig

    def __init__(self, config: DiToConfig, steps: frozenset[int], work: Work,
                 network: QuantisedNetwork | None = None) -> None:
        super().__init__(config, work, network)
        self.steps = steps | {0}
        self.counts: dict[tuple[int, int], Tensor] = {}

    @property
    def matches(self) -> bool:
        """As `_Guided.matches`."""
        return self.step in self.steps

    def _loss(self, layer: int, place: int, loss: Tensor) -> Tensor:
        counts = self._counts(layer, place, len(loss))
        return penalised(loss, counts, self.config.weight, self.config.counted, self.config.penalty)

    def _counts(self, layer: int, place: int, tokens: int) -> Tensor:
        return self.counts.get((layer, place), torch.zeros(tokens, dtype=torch.int64))

    def _adopt(self, layer: int, features: Tensor) -> None:
        super()._adopt(layer, features)
        for place, table in enumerate(self.found[layer]):
            counts = self._counts(layer, place, table.size)
            self.counts[layer, place] = count_selections(counts, table, self.config.counted)
