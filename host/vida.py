# SPDX-License-Identifier: Apache-2.0
"""Method `vida`: left operands as differences to the frame before, on its accumulators, which never leave the buffer.

As `model.methods.Vida`, bit for bit. `VidaProducts.notes` says where operands are whole, zeros skipped.
"""

from __future__ import annotations

import torch

from host.allocate import Buffer, Operand
from host.build import Builder
from host.constants import Loader, Weights
from host.groups import Group
from host.products import Attention, Products, by_columns
from model.methods import REFRESH
from model.networks import NetworkConfig


class Kept:
    """Matrices that outlive their group: what was kept under a name stays until the next one is."""

    def __init__(self) -> None:
        self._held: dict[tuple, list[tuple[Buffer, Operand]]] = {}

    def get(self, name: tuple) -> list[Operand]:
        """What is kept under a name; nothing at first."""
        return [operand for _, operand in self._held.get(name, [])]

    def put(self, name: tuple, buffer: Buffer, operands: list[Operand]) -> None:
        """Keep `operands`, beyond their owner's giving them back, in place of what was kept."""
        for operand in operands:
            buffer.hold(operand.origin)
        for owner, operand in self._held.pop(name, []):
            owner.give(operand.origin)
        self._held[name] = [(buffer, operand) for operand in operands]

    def clear(self) -> None:
        """Give all back."""
        for held in self._held.values():
            for owner, operand in held:
                owner.give(operand.origin)
        self._held.clear()


class VidaAttention(Attention):
    """Exact every `REFRESH` frames; between, S = S_before + Q dK^T (computed transposed), O = O_before + P dV."""

    turns = True

    def __init__(self, builder: Builder, network: NetworkConfig, group: Group, qkv: Operand, kept: Kept,
                 zero: Operand) -> None:
        super().__init__(builder, network, group, qkv)
        self.kept, self.zero = kept, zero
        self.before = kept.get(("qkv",))
        self.exact = group.index % REFRESH == 0

    def scores(self, first: int) -> tuple[Operand, bool]:
        """Transposed where they are approximate."""
        if self.exact:
            scores, turned = super().scores(first)
        else:
            (q, k, _), n = self.head(first), self.group.length
            k_before = self.before[0].part(col=self.dim + first, cols=self.size)
            scores, turned = self.group.buffer.matrix(n, n, 4, (q.base,), n), True
            self.builder.matmul(k, q, self.group.unit, transposed=True, reference=k_before,
                                init=self.kept.get(("scores", first))[0],
                                init_transposed=(self.group.index - 1) % REFRESH == 0, acc=scores)
        self.kept.put(("scores", first), self.group.buffer, [scores])
        return scores, turned

    def values(self, first: int, p: Operand) -> Operand:
        """As `Attention.values`."""
        if self.exact:
            values = super().values(first, p)
        else:
            v_before = self.before[0].part(col=2 * self.dim + first, cols=self.size)
            values = self.group.buffer.matrix(self.group.rows, self.size, 4, (p.base, self.qkv.base))
            self.builder.matmul(self.zero, v_before, self.group.unit, reference=p,
                                init=self.kept.get(("values", first))[0], acc=values)
            self.builder.matmul(p, self.head(first)[2], self.group.unit, init=values, acc=values)
        self.kept.put(("values", first), self.group.buffer, [values])
        return values

    def close(self) -> None:
        """As `Attention.close`; the next frame still reads `qkv`."""
        self.kept.put(("qkv",), self.group.buffer, [self.qkv])
        super().close()


class VidaProducts(Products):
    """Differences to the frame before."""

    skips = refers = True
    share = 0.65
    notes = ("temporal blocks are of whole operands: their rows are in the order of tokens, not of frames",
             "values between refreshes are O + P V - P V_before: for P dV no read gives dV transposed on the left")

    def __init__(self, builder: Builder, network: NetworkConfig) -> None:
        super().__init__(builder, network)
        self.kept = Kept()
        self.zero: Operand | None = None

    def setup(self) -> None:
        """A matrix of zeros: the whole operand is the difference from it."""
        tokens = self.network.tokens
        self.zero = Loader(self.builder).matrix("zero", torch.zeros(tokens, tokens, dtype=torch.int64))

    def linear(self, group: Group, left: Operand, weights: Weights, int8: Operand | None = None,
               shift: int = 0) -> Operand | None:
        """As `Products.linear`, on the accumulators of the frame before."""
        if group.mapping is not None:
            return super().linear(group, left, weights, int8, shift)
        acc = None
        for first, part in by_columns(weights, weights.right.cols if int8 is None else self.network.dim):
            name = self.builder.operator, weights.right.base, group.first, first
            before = self.kept.get(name)
            acc = group.buffer.matrix(left.rows, part.right.cols, 4, (left.base, part.right.base))
            self.builder.matmul(left, part.right, group.unit, reference=before[0] if before else None,
                                init=before[1] if before else part.bias, acc=acc, shift=shift, scale=part.scale,
                                int8=int8 and int8.part(col=first, cols=part.right.cols))
            self.kept.put(name, group.buffer, [left, acc])
            if int8 is not None:
                group.buffer.give(acc.origin)
        return acc if int8 is None else None

    def attention(self, group: Group, qkv: Operand) -> Attention:
        """The attention of a group."""
        if group.mapping is not None:
            return super().attention(group, qkv)
        return VidaAttention(self.builder, self.network, group, qkv, self.kept, self.zero)

    def end_block(self) -> None:
        """Nothing is kept from block to block."""
        self.kept.clear()
