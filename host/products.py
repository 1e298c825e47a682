# SPDX-License-Identifier: Apache-2.0
"""The products of a step as MATMULs. Here: of whole operands (`dense`, `original`); methods derive from it."""

from __future__ import annotations

from collections.abc import Iterator

from host.allocate import Operand
from host.build import Builder
from host.constants import Weights
from host.groups import Group
from host.schedule import WHOLE
from hw.config import TILE, Lane
from model.networks import NetworkConfig


class Attention:
    """Both products of a group's attention; `qkv` (rows, 3 dim) int8 has queries, keys and values side by side."""

    #: Scores are read transposed.
    turns = False

    def __init__(self, builder: Builder, network: NetworkConfig, group: Group, qkv: Operand) -> None:
        self.builder, self.group, self.qkv = builder, group, qkv
        self.dim, self.size, self.heads = network.dim, network.head_dim, network.heads

    def head(self, first: int) -> tuple[Operand, Operand, Operand]:
        """Queries, keys and values of the head whose columns begin at `first`."""
        return tuple(self.qkv.part(col=part * self.dim + first, cols=self.size) for part in range(3))

    def sets(self, first: int) -> list[tuple[int, int]]:
        """PEG and first row of each set of rows that attend to each other, for the head at column `first`: of the
        PEGs that share the rows, or of one set each head in turn."""
        group = self.group
        if group.length == group.rows:
            return [(group.units[(group.turn * self.heads + first // self.size) % len(group.units)], 0)]
        return [(unit, row) for unit, start, rows in group.shares()
                for row in range(start, start + rows, group.length)]

    def scores(self, first: int) -> tuple[Operand, bool]:
        """Accumulators of a head's scores, and whether they are transposed."""
        (q, k, _), group, n = self.head(first), self.group, self.group.length
        scores = group.buffer.matrix(group.rows, n, 4, (self.qkv.base,), n if self.turns else 0)
        for unit, row in self.sets(first):
            self.builder.matmul(q.part(row, n), k.part(row, n), unit, transposed=True, acc=scores.part(row, n))
        return scores, False

    def values(self, first: int, p: Operand) -> Operand:
        """Accumulators of probabilities `p` times a head's values."""
        v, group, n = self.head(first)[2], self.group, self.group.length
        values = group.buffer.matrix(group.rows, self.size, 4, (p.base, self.qkv.base))
        for unit, row in self.sets(first):
            self.builder.matmul(p.part(row, n), v.part(row, n), unit, acc=values.part(row, n))
        return values

    def close(self) -> None:
        """All heads are done; gives `qkv` back."""
        self.group.buffer.give(self.qkv.origin)


class Products:
    """Whole operands.

    Members
    -------
    width : PEGs over which a group is spread
    """

    #: Zero digits are skipped.
    skips = False
    #: Share of the array's cycles that skipping leaves, about, of `tiny` on preset `tiny`: for the order of tasks.
    share = 1.0
    #: Left operands are differences.
    refers = False
    #: What is computed from whole operands although the method has differences, and why.
    notes: tuple[str, ...] = ()

    def __init__(self, builder: Builder, network: NetworkConfig) -> None:
        self.builder, self.network = builder, network
        # Two PEGs a group leave shorter ends to wait for where a block begins with all rows of the one before; a
        # native PEG is done with half the panels before its next right slot is filled.
        config = builder.config
        self.width = 1 if config.lane is Lane.NATIVE else min(2, config.pegs)

    def setup(self) -> None:
        """Emit what has to be in the buffer before the first step."""

    def linear(self, group: Group, left: Operand, weights: Weights, int8: Operand | None = None,
               shift: int = 0) -> Operand | None:
        """left @ weights + bias: accumulators, or requantised to `int8` by the weights' multipliers and `shift`."""
        acc = None
        if int8 is None or left.cols > self.builder.config.right_rows:
            acc = group.buffer.matrix(left.rows, weights.right.cols, 4, (left.base, weights.right.base))
        for unit, row, rows in group.shares():
            self.builder.matmul(left.part(row, rows), weights.right, unit, init=weights.bias,
                                acc=acc and acc.part(row, rows), int8=int8 and int8.part(row, rows),
                                scale=weights.scale, shift=shift)
        if int8 is None:
            return acc
        if acc:
            group.buffer.give(acc.origin)
        return None

    def columns(self, group: Group, left: Operand, weights: Weights) -> Iterator[tuple[int, Weights, Operand]]:
        """left @ weights + bias as many columns at a time as the stream has: first column, weights, accumulators."""
        for first, part in by_columns(weights, self.network.dim):
            yield first, part, self.linear(group, left, part)

    def done(self, group: Group, acc: Operand) -> None:
        """Accumulators that `linear` or `columns` gave are read for the last time."""
        group.buffer.give(acc.origin)

    def attention(self, group: Group, qkv: Operand) -> Attention:
        """The attention of a group."""
        return Attention(self.builder, self.network, group, qkv)

    def end_block(self) -> None:
        """All groups of a block are emitted."""


class SkippingProducts(Products):
    """Whole operands, of which zero digits are skipped."""

    skips = True
    share = WHOLE


def by_columns(weights: Weights, cols: int) -> list[tuple[int, Weights]]:
    """First columns and parts of `weights`, of at most `cols` columns, a whole number of lines."""
    total = weights.right.cols
    if total <= cols:
        return [(0, weights)]
    cols -= cols % (TILE * weights.right.ccpes)
    return [(first, weights.part(first, min(cols, total - first))) for first in range(0, total, cols)]
