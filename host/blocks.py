# SPDX-License-Identifier: Apache-2.0
"""A transformer block as tasks, group after group of rows that attend to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from host.allocate import Buffer, Operand, Row
from host.build import Builder, Mapping
from host.constants import BlockWeights, Weights
from hw.config import TILE
from hw.control.isa import VectorOp
from model.exact.network import BlockConstants
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.networks import NetworkConfig

#: Rows that a group's half has at least.
PART_ROWS = 16


@dataclass(frozen=True)
class Group:
    """Rows that a block computes together, on one PEG.

    Members
    -------
    stream : its part of the residual stream, from which `mapping` (or none) takes the rows
    rows : how many
    length : rows that attend to each other; `rows` is a multiple
    unit : PEG
    buffer : where its intermediate results lie
    """

    stream: Operand
    mapping: Mapping | None
    rows: int
    length: int
    unit: int
    buffer: Buffer

    def parts(self) -> list[tuple[Group, int]]:
        """Halves with their first rows, where each has enough rows to fill a right slot for: the array computes one
        while the vector unit has the other. Small groups stay whole."""
        tokens = self.rows if self.mapping is None else self.rows // self.length
        if self.rows < 2 * PART_ROWS or tokens % (2 * TILE):
            return [(self, 0)]
        half = replace(self, stream=self.stream.part(rows=tokens // 2) if self.mapping is None else self.stream,
                       rows=self.rows // 2)
        rest = self.stream.part(row=tokens // 2, rows=tokens // 2 if self.mapping is None else None)
        return [(half, 0), (replace(half, stream=rest), self.rows // 2)]


def groups(stream: Operand, network: NetworkConfig, axis: str, pegs: int, buffers: Sequence[Buffer]) -> list[Group]:
    """Groups of about as many rows as a frame has: frames, or sets of tokens in all frames.

    The stream's rows are (frame, token); those of a temporal group are computed as (token, frame). Groups take turns
    with PEGs and `buffers`: as many as there are buffers can be under way.
    """
    frames, tokens = network.frames, network.tokens
    if axis == "spatial":
        parts = [stream.part(row=frame * tokens, rows=tokens) for frame in range(frames)]
        mapping, length, rows = None, tokens, [tokens] * frames
    else:
        each = TILE * max(1, tokens // frames // TILE)  # tokens of a group: whole tiles of the stream
        parts = [stream.part(row=first) for first in range(0, tokens, each)]
        mapping, length = Mapping(frames, tokens, 1), frames
        rows = [frames * min(each, tokens - first) for first in range(0, tokens, each)]
    return [Group(part, mapping, rows[n], length, n % pegs, buffers[n % len(buffers)]) for n, part in enumerate(parts)]


class Block:
    """Emits the tasks of one block.

    Parameters
    ----------
    builder : takes them
    name : prefix of the operators' names
    network, constants, weights : shape, scales, and what lies in the buffer
    vectors : shift, scale and gate of the attention, then of the MLP
    """

    def __init__(self, builder: Builder, name: str, network: NetworkConfig, constants: BlockConstants,
                 weights: BlockWeights, vectors: Sequence[Row]) -> None:
        self.builder, self.name = builder, name
        self.network, self.constants, self.weights, self.vectors = network, constants, weights, vectors

    def emit(self, group: Group) -> None:
        """All operators of the block on one group."""
        c, w = self.constants, self.weights
        shift1, scale1, gate1, shift2, scale2, gate2 = self.vectors
        h = self._norm("norm1", group, shift1, scale1, c.norm1, (w.qkv.right.base,))
        mixed = self._attend(group, h)
        for part, first in group.parts():
            acc = self._product("out", part, mixed.part(first, part.rows), w.out)
            self._residual("residual1", part, acc, gate1, w.out, c.out_residual)
        group.buffer.give(mixed.base)
        for part, _ in group.parts():
            h = self._norm("norm2", part, shift2, scale2, c.norm2, (w.fc1.right.base,))
            hidden = self._hidden(part, h)
            acc = self._product("fc2", part, hidden, w.fc2)
            group.buffer.give(hidden.base)
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
        acc = group.buffer.matrix(group.rows, weights.right.cols, 4, (left.base, weights.right.base))
        self.builder.matmul(left, weights.right, group.unit, bias=weights.bias, acc=acc)
        return acc

    def _hidden(self, group: Group, h: Operand) -> Operand:
        """Int8 operand of the MLP's second product, as many columns at a time as the stream has; gives `h` back."""
        weights, params = self.weights.fc1, self.constants.gelu
        cols = self.network.dim - self.network.dim % self.builder.config.columns
        hidden = group.buffer.matrix(group.rows, weights.right.cols, 1, (h.base, self.weights.fc2.right.base))
        for first in range(0, weights.right.cols, cols):
            part = weights.part(first, min(cols, weights.right.cols - first))
            acc = self._product("fc1", group, h, part)
            self._at("gelu")
            self.builder.vector(VectorOp.GELU, acc, hidden.part(col=first, cols=acc.cols), u=part.scale,
                                shift=params.hidden.shift, multiplier=params.output.multipliers[0],
                                shift2=params.output.shift)
            group.buffer.give(acc.base)
        group.buffer.give(h.base)
        return hidden

    def _residual(self, operator: str, group: Group, acc: Operand, gate: Row, weights: Weights,
                  params: ResidualParams) -> None:
        self._at(operator)
        self.builder.vector(VectorOp.RESIDUAL, acc, group.stream, y=group.stream, u=weights.scale, v=gate,
                            shift=params.branch.shift, shift2=params.fraction, mapping=group.mapping,
                            mapped="y out" if group.mapping else "", rows=group.rows)
        group.buffer.give(acc.base)

    def _attend(self, group: Group, h: Operand) -> Operand:
        """Int8 operand of the output projection; gives `h` back."""
        c, w, dim = self.constants, self.weights, self.network.dim
        self._at("qkv")
        qkv = group.buffer.matrix(group.rows, 3 * dim, 1, (h.base, w.qkv.right.base), transposed=True)
        chunked = dim > self.builder.config.right_rows
        acc = group.buffer.matrix(group.rows, 3 * dim, 4, (h.base, w.qkv.right.base)) if chunked else None
        self.builder.matmul(h, w.qkv.right, group.unit, bias=w.qkv.bias, acc=acc, int8=qkv, scale=w.qkv.scale,
                            shift=c.qkv_scale.shift)
        if chunked:
            group.buffer.give(acc.base)
        group.buffer.give(h.base)
        mixed = group.buffer.matrix(group.rows, dim, 1, (w.out.right.base,))
        for head in range(self.network.heads):
            self._head(group, qkv, mixed, head * self.network.head_dim)
        group.buffer.give(qkv.base)
        return mixed

    def _head(self, group: Group, qkv: Operand, mixed: Operand, first: int) -> None:
        """One head, whose columns of each of q, k, v and of the output begin at `first`."""
        c, dim, size, n = self.constants, self.network.dim, self.network.head_dim, group.length
        q, k, v = (qkv.part(col=part * dim + first, cols=size) for part in range(3))
        self._at("scores")
        scores = group.buffer.matrix(group.rows, n, 4, (qkv.base,))
        for row in range(0, group.rows, n):
            self.builder.matmul(q.part(row, n), k.part(row, n), group.unit, transposed=True, acc=scores.part(row, n))
        self._at("softmax")
        p, sums = group.buffer.matrix(group.rows, n, 1, (scores.base, qkv.base)), self.builder.row_sums(group.rows)
        self.builder.vector(VectorOp.SOFTMAX, scores, p, one=c.softmax, sums=sums)
        group.buffer.give(scores.base)
        self._at("values")
        values = group.buffer.matrix(group.rows, size, 4, (p.base, qkv.base))
        for row in range(0, group.rows, n):
            self.builder.matmul(p.part(row, n), v.part(row, n), group.unit, acc=values.part(row, n))
        group.buffer.give(p.base)
        self._at("normalise")
        self.builder.vector(VectorOp.NORMALISE, values, mixed.part(col=first, cols=size), u=self.weights.normalise,
                            shift=c.normalise.shift, sums=sums)
        group.buffer.give(values.base)
