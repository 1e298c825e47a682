# SPDX-License-Identifier: Apache-2.0
"""A transformer block as tasks, group after group of rows that attend to each other."""

from __future__ import annotations

from collections.abc import Sequence

from host.allocate import Operand, Row
from host.constants import BlockWeights, Weights
from host.groups import Group
from host.products import Attention, Products
from hw.control.isa import VectorOp
from model.exact.network import BlockConstants
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.networks import NetworkConfig


class Block:
    """Emits the tasks of one block.

    Parameters
    ----------
    products : computes the products, and has the builder
    name : prefix of the operators' names
    network, constants, weights : shape, scales, and what lies in the buffer
    vectors : shift, scale and gate of the attention, then of the MLP
    """

    def __init__(self, products: Products, name: str, network: NetworkConfig, constants: BlockConstants,
                 weights: BlockWeights, vectors: Sequence[Row]) -> None:
        self.products, self.builder, self.name = products, products.builder, name
        self.network, self.constants, self.weights, self.vectors = network, constants, weights, vectors
        self.attention, = constants.attentions

    def emit(self, group: Group) -> None:
        """All operators of the block on one group."""
        a, c, w = self.attention, self.constants, self.weights
        shift1, scale1, gate1, shift2, scale2, gate2 = self.vectors
        h = self._norm("norm1", group, shift1, scale1, a.norm1, (w.qkv.right.base,))
        mixed = self._attend(group, h)
        for part in group.parts():
            acc = self._product("out", part, mixed.part(part.first, part.rows), w.out)
            self._residual("residual1", part, acc, gate1, w.out, a.out_residual)
        group.buffer.give(mixed.origin)
        for part in group.parts():
            h = self._norm("norm2", part, shift2, scale2, c.norm2, (w.fc1.right.base,))
            hidden = self._hidden(part, h)
            acc = self._product("fc2", part, hidden, w.fc2)
            group.buffer.give(hidden.origin)
            self._residual("residual2", part, acc, gate2, w.fc2, c.fc2_residual)

    def _at(self, operator: str) -> None:
        self.builder.operator = f"{self.name}.{operator}"

    def _norm(self, operator: str, group: Group, shift: Row, scale: Row, params: LayerNormParams,
              avoid: tuple[int, ...]) -> Operand:
        self._at(operator)
        h = group.buffer.matrix(group.rows, self.network.dim, 1, (group.stream.base, *avoid))
        self.builder.vector(VectorOp.LAYERNORM, group.stream, h, u=scale, v=shift, one=params.output,
                            epsilon=params.epsilon, mapping=group.mapping, mapped="x" if group.mapping else "",
                            rows=group.rows)
        return h

    def _product(self, operator: str, group: Group, left: Operand, weights: Weights) -> Operand:
        """left @ weights + bias as accumulators."""
        self._at(operator)
        return self.products.linear(group, left, weights)

    def _hidden(self, group: Group, h: Operand) -> Operand:
        """Int8 operand of the MLP's second product, as many columns at a time as the stream has; gives `h` back."""
        weights, params = self.weights.fc1, self.constants.gelu
        hidden = group.buffer.matrix(group.rows, weights.right.cols, 1, (h.base, self.weights.fc2.right.base))
        self._at("fc1")
        for first, part, acc in self.products.columns(group, h, weights):
            self._at("gelu")
            self.builder.vector(VectorOp.GELU, acc, hidden.part(col=first, cols=acc.cols), u=part.scale,
                                shift=params.hidden.shift, multiplier=params.output.multipliers[0],
                                shift2=params.output.shift)
            self.products.done(group, acc)
            self._at("fc1")
        group.buffer.give(h.origin)
        return hidden

    def _residual(self, operator: str, group: Group, acc: Operand, gate: Row, weights: Weights,
                  params: ResidualParams) -> None:
        self._at(operator)
        self.builder.vector(VectorOp.RESIDUAL, acc, group.stream, y=group.stream, u=weights.scale, v=gate,
                            shift=params.branch.shift, shift2=params.fraction, mapping=group.mapping,
                            mapped="y out" if group.mapping else "", rows=group.rows)
        self.products.done(group, acc)

    def _attend(self, group: Group, h: Operand) -> Operand:
        """Int8 operand of the output projection; gives `h` back."""
        a, w, dim = self.attention, self.weights, self.network.dim
        self._at("qkv")
        qkv = group.buffer.matrix(group.rows, 3 * dim, 1, (h.base, w.qkv.right.base), group.length)
        self.products.linear(group, h, w.qkv, qkv, a.qkv_scale.shift)
        group.buffer.give(h.origin)
        mixed = group.buffer.matrix(group.rows, dim, 1, (w.out.right.base,))
        self._at("scores")
        attention = self.products.attention(group, qkv)
        for head in range(self.network.heads):
            self._head(group, attention, mixed, head * self.network.head_dim)
        self._at("scores")
        attention.close()
        return mixed

    def _head(self, group: Group, attention: Attention, mixed: Operand, first: int) -> None:
        """One head, whose columns of each of q, k, v and of the output begin at `first`."""
        a, sums = self.attention, self.builder.row_sums(group.rows)
        self._at("scores")
        scores, turned = attention.scores(first)
        self._at("softmax")
        p = group.buffer.matrix(group.rows, group.length, 1, (scores.base, mixed.base))
        self.builder.vector(VectorOp.SOFTMAX, scores, p, one=a.softmax, sums=sums, x_transposed=int(turned))
        group.buffer.give(scores.origin)
        self._at("values")
        values = attention.values(first, p)
        group.buffer.give(p.origin)
        self._at("normalise")
        self.builder.vector(VectorOp.NORMALISE, values, mixed.part(col=first, cols=self.network.head_dim),
                            u=self.weights.normalise, shift=a.normalise.shift, sums=sums)
        group.buffer.give(values.origin)
