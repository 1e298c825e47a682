# SPDX-License-Identifier: Apache-2.0
"""EXION over a sampling run: FFN-Reuse between denoising steps, eager prediction inside one."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from model.approximate.chain import Feature, Inner, Product
from model.approximate.config import EagerConfig, FFNReuseConfig
from model.approximate.work import Work
from model.exact.heads import join_heads, split_heads
from model.exact.network import QuantisedNetwork
from model.exact.operators import Site
from model.exact.sparsity.conmerge import merge
from model.exact.sparsity.eager import (
    Selection,
    check_scale,
    dominated_rows,
    masked_scores,
    predict_projection,
    predict_scores,
    select,
)
from model.exact.sparsity.ffn_reuse import SecondLayer, is_dense, quantile_threshold, value_mask
from model.exact.sparsity.leading_one import shift_adds


class FFNReuse(Feature):
    """Sparse iterations compute FC1 where the dense iteration's GELU output was large.

    GELU is elementwise, so FC1's kept sums stand for its kept outputs.
    """

    def __init__(self, config: FFNReuseConfig, work: Work) -> None:
        super().__init__(work)
        self.config = config
        self.sums: dict[Site, Tensor] = {}
        self.kept: dict[int, Tensor] = {}
        self.masks: dict[int, Tensor] = {}

    @property
    def dense(self) -> bool:
        """Whether this denoising step is a dense iteration."""
        return is_dense(self.step, self.config.sparse_steps, self.config.warm_up)

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`."""
        site = product.site
        if self.dense or site.kind not in ("fc1", "fc2"):
            return inner(product)
        mask = self.masks[site.layer]
        if site.kind == "fc1":
            new = inner(replace(product, need=product.need & mask))
            return torch.where(mask, new, self.sums[site])
        if self.config.second_layer is SecondLayer.WHOLE:
            return inner(product)
        kept = self.kept[site.layer]
        # Another feature may have changed an element that the mask leaves alone: its difference counts too.
        return inner(replace(product, used=product.used & (mask | (product.left != kept)), carried=kept))

    def observe(self, product: Product, result: Tensor) -> None:
        """Keep the dense iteration's sums and outputs, and make its mask."""
        site = product.site
        if not self.dense or site.kind not in ("fc1", "fc2"):
            return
        if site.kind == "fc1":
            self.sums[site] = result
            return
        threshold = self.config.threshold
        if threshold is None:
            threshold = quantile_threshold(product.left, self.config.permille)
        mask = value_mask(product.left, threshold)
        self.kept[site.layer], self.masks[site.layer] = product.left, mask
        self.work.extra["exion.mask_elements"] += mask.numel()
        self.work.extra["exion.mask_kept"] += int(mask.sum())
        if self.config.packing is not None:
            schedule = merge(mask.flatten(0, 1), self.config.packing)
            self.work.extra["exion.passes"] += schedule.passes
            self.work.extra["exion.condensed_passes"] += schedule.condensed_passes
            self.work.extra["exion.dense_passes"] += schedule.dense_passes


class EagerPrediction(Feature):
    """Scores predicted from the block's input decide which scores and which rows of Q, K, V are computed.

    Rows that are not generated are zero, which nothing reads.
    """

    def __init__(self, config: EagerConfig, network: QuantisedNetwork, work: Work) -> None:
        super().__init__(work)
        self.config, self.network = config, network
        self.selections: dict[int, Selection] = {}
        for block in network.blocks:
            for attention in block.attentions:
                check_scale(attention.softmax)

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`."""
        if product.site.block not in self.config.blocks:
            return inner(product)
        match product.site.kind:
            case "qkv":
                need = product.need & self._needed_rows(product)
                return torch.where(need, inner(replace(product, need=need)), 0)
            case "scores":
                chosen = self.selections[product.site.layer]
                return masked_scores(inner(replace(product, need=product.need & chosen.keep)), chosen)
            case "values":
                keep = self.selections[product.site.layer].keep
                return inner(replace(product, used=product.used & keep))
        return inner(product)

    def _needed_rows(self, product: Product) -> Tensor:
        """Select from the predicted scores; the outputs (F, T, 3D) of the projection that are read."""
        site, detection = product.site, self.config.detection
        attention = self.network.attention(site.layer, site.block)
        predicted = predict_projection(product.left, product.right, product.init, attention.qkv_scale, detection)
        heads = self.network.config.heads
        queries, keys, _ = (split_heads(part, heads, site.block) for part in predicted.chunk(3, -1))
        scores = predict_scores(queries, keys, detection)
        projected = product.right[:, : product.right.shape[1] // 3 * 2]
        self.work.extra["exion.shift_adds"] += shift_adds(product.left, projected, detection)
        self.work.extra["exion.shift_adds"] += shift_adds(queries, keys.transpose(-1, -2), detection)
        limit = max(1, scores.shape[-1] * self.config.permille // 1000)
        rule, threshold = self.config.dominance, self.config.dominance_threshold
        rows = dominated_rows(scores, rule, threshold, attention.softmax, self.network.tables.exp2)
        chosen = self.selections[product.site.layer] = select(scores, limit, rows)
        self.work.extra["exion.rows"] += rows.numel()
        self.work.extra["exion.rows_dominated"] += int(rows.sum())
        self.work.extra["exion.scores_kept"] += int(chosen.keep.sum())
        needs = (chosen.queries, chosen.keys, chosen.values)
        outputs = (one[..., None].expand(queries.shape) for one in needs)  # rows (A, H, M) that are needed, whole
        return torch.cat([join_heads(one, len(product.left), site.block) for one in outputs], -1)
