# SPDX-License-Identifier: Apache-2.0
"""Method `vida`: left operands as differences to the frame before, on its accumulators, which never leave the buffer.

As `model.methods.Vida`, bit for bit. `VidaProducts.notes` says where operands are whole, zeros skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

from host.allocate import Buffer, Operand
from host.build import Builder
from host.constants import Weights
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
    """Exact every `REFRESH` frames; between, S = S_before + Q dK^T (computed transposed), O = O_before + P dV.

    No read gives dV transposed on the left. But of frames g from an exact one to f, the sum of all P_g dV_g is
    P_f V_f + R_f, R_f = R_(f-1) + (P_(f-1) - P_f) V_(f-1): one product is whole, the other's left operand a difference.
    """

    turns = True

    def __init__(self, builder: Builder, network: NetworkConfig, group: Group, qkv: Operand, kept: Kept) -> None:
        super().__init__(builder, network, group, qkv)
        self.kept = kept
        self.before = kept.get(("qkv",))
        self.exact = group.index % REFRESH == 0

    def scores(self, first: int) -> tuple[Operand, bool]:
        """Transposed where they are approximate."""
        if self.exact:
            scores, turned = super().scores(first)
        else:
            (q, k, _), ((unit, _),), n = self.head(first), self.sets(first), self.group.length
            k_before = self.before[0].part(col=self.dim + first, cols=self.size)
            scores, turned = self.group.buffer.matrix(n, n, 4, (q.base,), n), True
            self.builder.matmul(k, q, unit, transposed=True, reference=k_before,
                                init=self.kept.get(("scores", first))[0],
                                init_transposed=(self.group.index - 1) % REFRESH == 0, acc=scores)
        self.kept.put(("scores", first), self.group.buffer, [scores])
        return scores, turned

    def values(self, first: int, p: Operand) -> Operand:
        """As `Attention.values`."""
        if self.exact:
            values, rest = super().values(first, p), []
        else:
            ((unit, _),), buffer = self.sets(first), self.group.buffer
            v_before = self.before[0].part(col=2 * self.dim + first, cols=self.size)
            p_before, *begin = self.kept.get(("values", first))
            rest = [buffer.matrix(self.group.rows, self.size, 4, (p.base, v_before.base))]
            values = buffer.matrix(self.group.rows, self.size, 4, (p.base, self.qkv.base))
            self.builder.matmul(p_before, v_before, unit, reference=p, init=begin[0] if begin else None, acc=rest[0])
            self.builder.matmul(p, self.head(first)[2], unit, init=rest[0], acc=values)
        self.kept.put(("values", first), self.group.buffer, [p, *rest])
        for operand in rest:
            self.group.buffer.give(operand.origin)
        return values

    def close(self) -> None:
        """As `Attention.close`; the next frame still reads `qkv`."""
        self.kept.put(("qkv",), self.group.buffer, [self.qkv])
        super().close()


class VidaProducts(Products):
    """Differences to the frame before.

    The accumulators of linear operators have places of their own, in which those of a frame follow those of the frame
    before.
    """

    skips = refers = True
    share = 0.65
    notes = ("temporal blocks are of whole operands: their rows are in the order of tokens, not of frames",
             "values between refreshes take the whole P too: for P dV no read gives dV transposed on the left")

    def __init__(self, builder: Builder, network: NetworkConfig) -> None:
        super().__init__(builder, network)
        self.width = builder.config.pegs    # a frame waits for the one before
        self.kept = Kept()
        self.sums: dict[tuple[str, int], Operand] = {}

    def setup(self) -> None:
        """Places for the accumulators of a frame."""
        dim, tokens = self.network.dim, self.network.tokens
        parts = {"fc1": (dim, 4), "qkv": (dim, 3), "out": (dim, 1), "fc2": (dim, 1), "embed": (dim, 1),
                 "head": (self.network.patch_dim, 1)}
        self.sums = {(kind, n * cols): self.builder.buffer.matrix(tokens, cols, 4, what=f"accumulators of {kind}")
                     for kind, (cols, count) in parts.items() for n in range(count)}

    def linear(self, group: Group, left: Operand, weights: Weights, int8: Operand | None = None,
               shift: int = 0) -> Operand | None:
        """As `Products.linear`, on the accumulators of the frame before."""
        if group.mapping is not None:
            return super().linear(group, left, weights, int8, shift)
        for first, part in by_columns(weights, weights.right.cols if int8 is None else self.network.dim):
            small = int8 and int8.part(col=first, cols=part.right.cols)
            acc = self._product(group, left, part, first, small, shift)
        self.kept.put(self._name(group), group.buffer, [left])
        return acc if int8 is None else None

    def columns(self, group: Group, left: Operand, weights: Weights) -> Iterator[tuple[int, Weights, Operand]]:
        """As `Products.columns`."""
        if group.mapping is not None:
            yield from super().columns(group, left, weights)
            return
        name = self._name(group)
        for first, part in by_columns(weights, self.network.dim):
            yield first, part, self._product(group, left, part, first)
        self.kept.put(name, group.buffer, [left])

    def _name(self, group: Group) -> tuple:
        """Under which the left operand of the operator at hand is kept."""
        return self.builder.operator, group.first

    def _product(self, group: Group, left: Operand, weights: Weights, first: int, int8: Operand | None = None,
                 shift: int = 0) -> Operand:
        """Columns from `first` of the accumulators of the frame before, made those of this one."""
        before = self.kept.get(self._name(group))
        kind = self.builder.operator.rpartition(".")[2]
        acc = self.sums[kind, first].part(group.first, left.rows)
        for unit, row, rows in group.shares():
            part = acc.part(row, rows)
            self.builder.matmul(left.part(row, rows), weights.right, unit,
                                reference=before[0].part(row, rows) if before else None,
                                init=part if before else weights.bias, acc=part,
                                int8=int8 and int8.part(row, rows), scale=weights.scale, shift=shift)
        return acc

    def done(self, group: Group, acc: Operand) -> None:
        """As `Products.done`; the next frame begins with those of this one."""
        if group.mapping is not None:
            super().done(group, acc)

    def attention(self, group: Group, qkv: Operand) -> Attention:
        """The attention of a group."""
        if group.mapping is not None:
            return super().attention(group, qkv)
        return VidaAttention(self.builder, self.network, group, qkv, self.kept)

    def end_block(self) -> None:
        """Nothing is kept from block to block."""
        self.kept.clear()
