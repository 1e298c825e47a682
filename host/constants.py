# SPDX-License-Identifier: Apache-2.0
"""Weights and rows of parameters: bytes in the image, lines in the buffer, the LOADs between them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from host.allocate import Operand, Row
from host.build import Builder
from host.layouts import matrix_bytes, row_bytes
from hw.config import TILE
from hw.control.isa import Opcode
from model.exact.network import BlockConstants, Linear, QuantisedNetwork
from model.exact.vector.layernorm import MODULATION_FRACTION_BITS
from model.exact.vector.scaling import Scale


@dataclass(frozen=True)
class Weights:
    """A linear operator in the buffer: int8 (K, N), bias, and the multipliers of what follows it, if any.

    `bias_values` is the bias, for who begins with it elsewhere.
    """

    right: Operand
    bias: Row
    scale: Row | None
    bias_values: Tensor

    def part(self, first: int, cols: int) -> Weights:
        """Columns from `first`, a multiple of a line's."""
        columns = TILE * self.right.ccpes
        return Weights(self.right.part(col=first, cols=cols), self.bias.part(first, cols, columns),
                       self.scale and self.scale.part(first, cols, columns), self.bias_values[first:first + cols])


@dataclass(frozen=True)
class BlockWeights:
    """A block's constants in the buffer; `normalise` are multipliers of a head's columns."""

    qkv: Weights
    normalise: Row
    out: Weights
    fc1: Weights
    fc2: Weights


class Loader:
    """Puts constants into the image and emits the LOADs that bring them to the buffer.

    Parameters
    ----------
    builder : takes the LOADs
    prefix : of the names in the image; another loader of the same `places` puts what has the same name behind the
        prefix in the same place of the buffer
    """

    def __init__(self, builder: Builder, prefix: str = "", places: dict[str, Operand | Row] | None = None) -> None:
        self.builder, self.prefix = builder, prefix
        self._places = {} if places is None else places

    def _load(self, name: str, data: bytes) -> None:
        self.builder.operator = "constants"
        address = self.builder.image.place(self.prefix + name, data)
        self.builder.move(Opcode.LOAD, address, self._places[name])

    def matrix(self, name: str, values: Tensor) -> Operand:
        """An int8 matrix."""
        if name not in self._places:
            self._places[name] = self.builder.buffer.matrix(*values.shape, 1, what=self.prefix + name)
        self._load(name, matrix_bytes(values, 1, self.builder.config.ccpes))
        return self._places[name]

    def row(self, name: str, values: Tensor) -> Row:
        """An int32 row."""
        if name not in self._places:
            self._places[name] = self.builder.buffer.row(len(values), what=self.prefix + name)
        self._load(name, row_bytes(values, self.builder.config.ccpes))
        return self._places[name]

    def scale(self, name: str, scale: Scale, cols: int) -> Row:
        """Multipliers of `cols` columns; a single one is repeated."""
        return self.row(name, scale.multiplier.expand(cols))

    def weights(self, name: str, linear: Linear, scale: Scale | None = None) -> Weights:
        """A linear operator with its bias and the multipliers that follow it."""
        right, bias = self.matrix(f"{name}.right", linear.right), self.row(f"{name}.bias", linear.bias)
        return Weights(right, bias, scale and self.scale(f"{name}.scale", scale, right.cols), linear.bias)

    def block(self, c: BlockConstants, head_dim: int) -> BlockWeights:
        """All of a block of one attention."""
        a, = c.attentions
        return BlockWeights(
            self.weights("qkv", a.qkv, a.qkv_scale), self.scale("normalise", a.normalise, head_dim),
            self.weights("out", a.out, a.out_residual.branch), self.weights("fc1", c.fc1, c.gelu.hidden),
            self.weights("fc2", c.fc2, c.fc2_residual.branch))


@dataclass(frozen=True)
class Ends:
    """What is before the first block and after the last one; `one` is a gate of 1."""

    embed: Weights
    one: Row
    head: Weights


def load_ends(loader: Loader, network: QuantisedNetwork) -> Ends:
    """Constants of embed and head (whose accumulators go to the host, unscaled)."""
    one = torch.full((network.config.dim,), 1 << MODULATION_FRACTION_BITS)
    return Ends(loader.weights("embed", network.embed, network.embed_residual.branch), loader.row("one", one),
                loader.weights("head", network.head))
