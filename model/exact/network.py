# SPDX-License-Identifier: Apache-2.0
"""Everything an integer denoising step needs, as integers, and its form in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import torch
from torch import Tensor

from hw.errors import VidaError
from model.exact.vector.gelu import GeluParams
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.exact.vector.scaling import Scale
from model.exact.vector.store import from_tensors, to_tensors
from model.exact.vector.tables import VectorTables
from model.networks import NetworkConfig

#: Fraction bits of a video's int16 pixels: +-8.
VIDEO_FRACTION_BITS = 12


@dataclass(frozen=True)
class Linear:
    """A linear operator: int8 weights `right` (K, N), int32 `bias` (N,) in places of the accumulator."""

    right: Tensor
    bias: Tensor


@dataclass(frozen=True)
class BlockConstants:
    """Constants of one transformer block; `softmax` and `normalise` are named as the laws that use them."""

    norm1: LayerNormParams
    qkv: Linear
    qkv_scale: Scale
    softmax: Scale
    normalise: Scale
    out: Linear
    out_residual: ResidualParams
    norm2: LayerNormParams
    fc1: Linear
    gelu: GeluParams
    fc2: Linear
    fc2_residual: ResidualParams


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network whose denoising step is integer from end to end.

    Members
    -------
    embed_scale : from a pixel's int16 to its int8 operand
    position : (F, T, D) int16, space and time embedding on the residual stream's scale
    velocity : (P,) float64, the real value of one place of the head's accumulators
    modulation : by number of steps, (steps, classes, 6 x blocks + 2, D) int16: shift, scale and gate of the
        attention and of the MLP of every block, then shift and scale of the head
    noise, label : (V, F, H, W) int16 and (V,): starting points of the videos that are evaluated
    """

    config: NetworkConfig
    tables: VectorTables
    embed: Linear
    embed_scale: Scale
    embed_residual: ResidualParams
    position: Tensor
    blocks: tuple[BlockConstants, ...]
    norm: LayerNormParams
    head: Linear
    velocity: Tensor
    modulation: dict[int, Tensor]
    noise: Tensor
    label: Tensor


def _pack_part(value: Any, prefix: str) -> dict[str, Tensor]:
    if isinstance(value, Linear):
        return {f"{prefix}.right": value.right.to(torch.int8), f"{prefix}.bias": value.bias.to(torch.int32)}
    return to_tensors(value, prefix)


def _unpack_part(kind: type, tensors: Mapping[str, Tensor], prefix: str) -> Any:
    if kind is Linear:
        return Linear(*(_take(tensors, f"{prefix}.{name}").long() for name in ("right", "bias")))
    return from_tensors(kind, tensors, prefix)


def _take(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise VidaError(f"tensor '{name}' of the checkpoint is missing")
    return tensors[name]


_PARTS = ("tables", "embed", "embed_scale", "embed_residual", "norm", "head")


def pack(network: QuantisedNetwork) -> dict[str, Tensor]:
    """The network as named tensors in the smallest integer type that holds each."""
    tensors: dict[str, Tensor] = {}
    for name in _PARTS:
        tensors |= _pack_part(getattr(network, name), name)
    for index, block in enumerate(network.blocks):
        for field in fields(block):
            tensors |= _pack_part(getattr(block, field.name), f"block.{index}.{field.name}")
    tensors |= {f"modulation.{steps}": value.to(torch.int16) for steps, value in network.modulation.items()}
    tensors |= {"position": network.position.to(torch.int16), "velocity": network.velocity}
    return tensors | {"noise": network.noise.to(torch.int16), "label": network.label.to(torch.uint8)}


def unpack(tensors: Mapping[str, Tensor], config: NetworkConfig) -> QuantisedNetwork:
    """The network that `pack` made; raises `VidaError` for a missing tensor or a value out of its width."""
    kinds = get_type_hints(QuantisedNetwork)
    parts = {name: _unpack_part(kinds[name], tensors, name) for name in _PARTS}
    blocks = tuple(
        BlockConstants(
            **{
                name: _unpack_part(kind, tensors, f"block.{index}.{name}")
                for name, kind in get_type_hints(BlockConstants).items()
            }
        )
        for index in range(len(config.blocks))
    )
    steps = [int(name.partition(".")[2]) for name in tensors if name.startswith("modulation.")]
    return QuantisedNetwork(
        config=config,
        blocks=blocks,
        modulation={count: tensors[f"modulation.{count}"].long() for count in steps},
        velocity=_take(tensors, "velocity"),
        **{name: _take(tensors, name).long() for name in ("position", "noise", "label")},
        **parts,
    )
