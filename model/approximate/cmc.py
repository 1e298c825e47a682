# SPDX-License-Identifier: Apache-2.0
"""CMC over a sampling run: linear operators for informative tokens only, rows copied for the others."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from model.approximate.chain import Feature, Inner, Product
from model.approximate.config import CMCConfig, Matrices
from model.approximate.work import Work
from model.exact.match.cmc import Search, comparisons, row_table
from model.exact.match.intra import IntraSearch, intra_table
from model.exact.recover.tables import RowTable


class CMC(Feature):
    """Inter-matrix prediction on the inputs of linear operators, intra-matrix prediction on queries and probabilities.

    One search at the block's input serves Q, K and V, one at the MLP's input serves both its layers: rows that
    were copied after the first are equal before the second.
    """

    def __init__(self, config: CMCConfig, grid: tuple[int, int], work: Work) -> None:
        super().__init__(work)
        self.config, self.grid = config, grid
        self.mlp: RowTable | None = None
        self.rows: list[RowTable] = []

    def product(self, product: Product, inner: Inner) -> Tensor:
        """As `Feature.product`."""
        kind = product.site.kind
        if kind in self.config.operators:
            table = self._search(product)
            if kind == "fc1":
                self.mlp = table
        elif kind == "fc2" and "fc1" in self.config.operators and self.mlp is not None:
            table = self.mlp
        elif self._threshold(kind) is not None or (kind == "values" and self.config.query_threshold is not None):
            return self._attend(product, inner)
        else:
            return inner(product)
        return self._condensed(product, inner, table)

    def _threshold(self, kind: str) -> float | None:
        """That of the intra-matrix prediction that an attention product begins with; None: with none."""
        return {"scores": self.config.query_threshold, "values": self.config.score_threshold}.get(kind)

    def _search(self, product: Product) -> RowTable:
        frames, tokens, dim = product.left.shape
        turned = self.config.matrices is Matrices.BLOCK and product.site.block == "temporal"
        matrices = product.left.transpose(0, 1) if turned else product.left
        window = None if self.config.reach is None else (frames if turned else self.grid[1])
        search = Search(
            self.config.segment, self.config.places(self.config.threshold, dim), self.config.middle,
            self.config.tail, window, self.config.reach,
        )
        self.work.extra["cmc.differences"] += comparisons(matrices, search)
        table = row_table(matrices, search)
        if turned:  # row numbers token * F + frame become frame * T + token
            kept, copied = (rows % frames * tokens + rows // frames for rows in (table.kept, table.copied))
            table = RowTable(table.size, kept, copied)
        return table

    def _condensed(self, product: Product, inner: Inner, table: RowTable) -> Tensor:
        shape = product.left.shape[:2]
        need = product.need & table.computed.reshape(*shape, 1)
        rewritten = product.left.flatten(0, 1)[table.sources].reshape(product.left.shape)
        result = inner(replace(product, left=rewritten, need=need))
        self.work.extra["cmc.rows_copied"] += len(table.copied)
        return result.flatten(0, 1)[table.sources].reshape(result.shape)

    def _attend(self, product: Product, inner: Inner) -> Tensor:
        batch, heads, rows = product.left.shape[:3]
        matrices = product.left.reshape(batch * heads, rows, -1)
        threshold = self._threshold(product.site.kind)
        if threshold is not None:
            places = self.config.places(threshold, matrices.shape[-1])
            search = IntraSearch(self.config.query_segment, places, middle=self.config.middle)
            self.rows = [intra_table(matrix, search) for matrix in matrices]
        computed = torch.stack([table.computed for table in self.rows]).reshape(batch, heads, rows, 1)
        sources = torch.stack([table.sources for table in self.rows]).reshape(batch, heads, rows, 1)
        rewritten = product.left.gather(2, sources.expand(product.left.shape))
        result = inner(replace(product, left=rewritten, need=product.need & computed))
        self.work.extra["cmc.query_rows_copied"] += int((~computed).sum())
        return result.gather(2, sources.expand(result.shape))
