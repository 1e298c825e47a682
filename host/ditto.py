# SPDX-License-Identifier: Apache-2.0
"""Method `ditto`: left operands as differences to the timestep before, whose accumulators are carried in DRAM.

Exact. Operators whose differences cost more traffic than they save are of whole operands (`host.defo`). Scores of
spatial attention take two products, as in `model.methods.Ditto`. `DittoProducts.notes` says where operands are whole,
zeros skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from host.allocate import Operand
from host.build import Builder
from host.constants import Weights
from host.defo import candidates, worth_carrying
from host.groups import Group
from host.layouts import matrix_bytes
from host.products import Attention, Products, by_columns
from host.schedule import WHOLE
from hw.control.isa import Opcode
from model.networks import NetworkConfig


class Carried:
    """Matrices that a step leaves in DRAM for the next, each in a numbered piece of the image."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._addresses: list[int] = []

    def load(self, near: Operand, fresh: Tensor) -> int:
        """Emit the LOAD of a matrix that is `fresh` before the first step; returns the number of its piece."""
        image, piece = self.builder.image, len(self._addresses)
        data = matrix_bytes(fresh, near.width, near.ccpes)
        self._addresses.append(image.reserve(f"carried.{piece}", len(data)))
        image.fresh[self._addresses[piece]] = data
        self._move(Opcode.LOAD, piece, near)
        return piece

    def store(self, piece: int, near: Operand) -> None:
        """Emit the STORE that the next step's `load` reads."""
        self._move(Opcode.STORE, piece, near)

    def _move(self, opcode: Opcode, piece: int, near: Operand) -> None:
        operator = self.builder.operator
        self.builder.operator = f"{operator}.{opcode.name.lower()}"
        self.builder.move(opcode, self._addresses[piece], near, piece)
        self.builder.operator = operator


class DittoAttention(Attention):
    """Scores as S_ref + dQ K_ref^T + Q dK^T, the second product and its result transposed."""

    def __init__(self, builder: Builder, network: NetworkConfig, group: Group, qkv: Operand, carried: Carried) -> None:
        super().__init__(builder, network, group, qkv)
        self.carried = carried
        before = group.buffer.matrix(group.rows, 3 * self.dim, 1, (qkv.base,), group.length)
        self.before, pair = before, before.part(cols=2 * self.dim)
        self.piece = carried.load(pair, _zeros(pair))

    def scores(self, first: int) -> tuple[Operand, bool]:
        """Transposed."""
        (q, k, _), ((unit, _),), n = self.head(first), self.sets(first), self.group.length
        q_before, k_before = (self.before.part(col=part * self.dim + first, cols=self.size) for part in range(2))
        turned = self.group.buffer.matrix(n, n, 4, (q.base,), n)
        piece = self.carried.load(turned, _zeros(turned))
        half = self.group.buffer.matrix(n, n, 4, (q.base, turned.base), n)
        self.builder.matmul(q, k_before, unit, transposed=True, reference=q_before, init=turned, init_transposed=True,
                            acc=half)
        self.builder.matmul(k, q, unit, transposed=True, reference=k_before, init=half, init_transposed=True,
                            acc=turned)
        self.carried.store(piece, turned)
        self.group.buffer.give(half.origin)
        return turned, True

    def close(self) -> None:
        """As `Attention.close`; queries and keys go to DRAM."""
        self.carried.store(self.piece, self.qkv.part(cols=2 * self.dim))
        self.group.buffer.give(self.before.origin)
        super().close()


class DittoProducts(Products):
    """Differences to the timestep before."""

    skips = refers = True
    share = 0.25
    notes = ("scores of temporal blocks are of whole operands: over few frames a difference saves less than it costs",
             "values are of whole operands: their second product needs V transposed on the left, which no read gives")

    def __init__(self, builder: Builder, network: NetworkConfig) -> None:
        super().__init__(builder, network)
        self.carried = Carried(builder)
        self.carries = worth_carrying(network, builder.config, builder.bandwidth, WHOLE, self.share)
        if self.carries:
            self.width = 1      # PEGs that share a group would wait for the same LOADs
        left = sorted({one.name for one in candidates(network)} - self.carries)
        if left:
            builder.whole = WHOLE
            self.notes += (f"{', '.join(left)} of whole operands: at {builder.bandwidth:g} bytes a cycle a difference "
                           "would cost more than it saves",)

    def _differs(self) -> bool:
        """The operator at hand is computed from differences."""
        return self.builder.operator.rpartition(".")[2] in self.carries

    def linear(self, group: Group, left: Operand, weights: Weights, int8: Operand | None = None,
               shift: int = 0) -> Operand | None:
        """As `Products.linear`, on the accumulators of the timestep before."""
        if not self._differs():
            return super().linear(group, left, weights, int8, shift)
        before, piece = self._before(group, left, weights)
        if int8 is None:
            acc = self._product(group, left, before, weights)
        else:
            acc = None
            for first, part in by_columns(weights, self.network.dim):
                small = int8.part(col=first, cols=part.right.cols)
                group.buffer.give(self._product(group, left, before, part, small, shift).origin)
        self._after(group, left, before, piece)
        return acc

    def columns(self, group: Group, left: Operand, weights: Weights) -> Iterator[tuple[int, Weights, Operand]]:
        """As `Products.columns`."""
        if not self._differs():
            yield from super().columns(group, left, weights)
            return
        before, piece = self._before(group, left, weights)
        for first, part in by_columns(weights, self.network.dim):
            yield first, part, self._product(group, left, before, part)
        self._after(group, left, before, piece)

    def _before(self, group: Group, left: Operand, weights: Weights) -> tuple[Operand, int]:
        """The left operand of the timestep before, and its piece of DRAM."""
        before = group.buffer.matrix(left.rows, left.cols, 1, (left.base, weights.right.base))
        return before, self.carried.load(before, _zeros(before))

    def _after(self, group: Group, left: Operand, before: Operand, piece: int) -> None:
        self.carried.store(piece, left)
        group.buffer.give(before.origin)

    def _product(self, group: Group, left: Operand, before: Operand, weights: Weights, int8: Operand | None = None,
                 shift: int = 0) -> Operand:
        """Accumulators of the timestep before, made those of this one."""
        acc = group.buffer.matrix(left.rows, weights.right.cols, 4, (left.base, weights.right.base, before.base))
        piece = self.carried.load(acc, weights.bias_values.expand(left.rows, -1))
        for unit, row, rows in group.shares():
            self.builder.matmul(left.part(row, rows), weights.right, unit, reference=before.part(row, rows),
                                init=acc.part(row, rows), acc=acc.part(row, rows),
                                int8=int8 and int8.part(row, rows), scale=weights.scale, shift=shift)
        self.carried.store(piece, acc)
        return acc

    def attention(self, group: Group, qkv: Operand) -> Attention:
        """The attention of a group."""
        if group.mapping is not None or not self._differs():
            return super().attention(group, qkv)
        return DittoAttention(self.builder, self.network, group, qkv, self.carried)


def _zeros(like: Operand) -> Tensor:
    return Tensor([0]).long().expand(like.rows, like.cols)
