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
from model.networks import CROSS, NetworkConfig

#: Fraction bits of a video's int16 pixels: +-8.
VIDEO_FRACTION_BITS = 12


@dataclass(frozen=True)
class Linear:
    """A linear operator: int8 weights `right` (K, N), int32 `bias` (N,) in places of the accumulator."""

    right: Tensor
    bias: Tensor


@dataclass(frozen=True)
class AttentionConstants:
    """Constants of one attention sub-layer; `softmax` and `normalise` are named as the laws that use them."""

    norm1: LayerNormParams
    qkv: Linear
    qkv_scale: Scale
    softmax: Scale
    normalise: Scale
    out: Linear
    out_residual: ResidualParams


@dataclass(frozen=True)
class CrossConstants(AttentionConstants):
    """Constants of a cross-attention.

    Members
    -------
    qkv : the projection of Q alone, (D, D)
    context : (classes, 2, C, D) int8, K and V of every class's condition tokens: the host computes them beforehand,
        since they are the same at every step
    """

    context: Tensor


@dataclass(frozen=True)
class BlockConstants:
    """Constants of one transformer block: its attention sub-layers in order, then the MLP's."""

    attentions: tuple[AttentionConstants, ...]
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
    modulation : by number of steps, (steps, classes, 3 x sub-layers + 2, D) int16: shift, scale and gate of every
        block's attentions and MLP, then shift and scale of the head
    noise, label : (V, F, [C,] H, W) int16 and (V,): starting points of the videos that are evaluated
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

    def attention(self, layer: int, axis: str) -> AttentionConstants:
        """Constants of the attention along `axis` in block `layer`, as a `Site` names them."""
        return self.blocks[layer].attentions[self.config.blocks[layer].index(axis)]


def _pack_part(value: Any, prefix: str) -> dict[str, Tensor]:
    if isinstance(value, Linear):
        return {f"{prefix}.right": value.right.to(torch.int8), f"{prefix}.bias": value.bias.to(torch.int32)}
    return {prefix: value.to(torch.int8)} if isinstance(value, Tensor) else to_tensors(value, prefix)


def _unpack_part(kind: type, tensors: Mapping[str, Tensor], prefix: str) -> Any:
    if kind is Linear:
        return Linear(*(_take(tensors, f"{prefix}.{name}").long() for name in ("right", "bias")))
    return _take(tensors, prefix).long() if kind is Tensor else from_tensors(kind, tensors, prefix)


def _take(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise VidaError(f"tensor '{name}' of the checkpoint is missing")
    return tensors[name]


def _shaped(tensors: Mapping[str, Tensor], name: str, *shape: int) -> Tensor:
    """A tensor as int64; raises `VidaError` unless its last axes are of `shape`."""
    tensor = _take(tensors, name)
    if tensor.shape[-len(shape) :] != shape:
        raise VidaError(f"tensor '{name}' is {tuple(tensor.shape)}, expected (..., {', '.join(map(str, shape))})")
    return tensor.long()


def _pack_fields(value: Any, prefix: str, without: str = "") -> dict[str, Tensor]:
    names = [field.name for field in fields(value) if field.name != without]
    return {key: x for name in names for key, x in _pack_part(getattr(value, name), f"{prefix}.{name}").items()}


def _unpack_fields(kind: type, tensors: Mapping[str, Tensor], prefix: str, **known: Any) -> Any:
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in known}
    return kind(**known, **{name: _unpack_part(hint, tensors, f"{prefix}.{name}") for name, hint in hints.items()})


def _prefix(index: int, axes: tuple[str, ...], axis: str) -> str:
    """Of an attention's tensors: without its axis where the block has but one."""
    return f"block.{index}" if len(axes) == 1 else f"block.{index}.{axis}"


_PARTS = ("tables", "embed", "embed_scale", "embed_residual", "norm", "head")


def pack(network: QuantisedNetwork) -> dict[str, Tensor]:
    """The network as named tensors in the smallest integer type that holds each."""
    tensors: dict[str, Tensor] = {}
    for name in _PARTS:
        tensors |= _pack_part(getattr(network, name), name)
    for index, block in enumerate(network.blocks):
        axes = network.config.blocks[index]
        for axis, attention in zip(axes, block.attentions, strict=True):
            tensors |= _pack_fields(attention, _prefix(index, axes, axis))
        tensors |= _pack_fields(block, f"block.{index}", without="attentions")
    tensors |= {f"modulation.{steps}": value.to(torch.int16) for steps, value in network.modulation.items()}
    tensors |= {"position": network.position.to(torch.int16), "velocity": network.velocity}
    return tensors | {"noise": network.noise.to(torch.int16), "label": network.label.to(torch.uint8)}


def unpack(tensors: Mapping[str, Tensor], config: NetworkConfig) -> QuantisedNetwork:
    """The network that `pack` made.

    Raises `VidaError` for a missing tensor, a value out of its width or a network of another shape than `config`.
    """
    kinds = get_type_hints(QuantisedNetwork)
    parts = {name: _unpack_part(kinds[name], tensors, name) for name in _PARTS}
    blocks = []
    for index, axes in enumerate(config.blocks):
        attentions = tuple(
            _unpack_fields(CrossConstants if axis == CROSS else AttentionConstants, tensors, _prefix(index, axes, axis))
            for axis in axes
        )
        blocks.append(_unpack_fields(BlockConstants, tensors, f"block.{index}", attentions=attentions))
    steps = [int(name.partition(".")[2]) for name in tensors if name.startswith("modulation.")]
    vectors = 3 * sum(len(axes) + 1 for axes in config.blocks) + 2
    modulated = (config.classes, vectors, config.dim)
    video = (config.frames, *config.frame_shape)
    return QuantisedNetwork(
        config=config,
        blocks=tuple(blocks),
        modulation={count: _shaped(tensors, f"modulation.{count}", count, *modulated) for count in steps},
        velocity=_take(tensors, "velocity"),
        position=_shaped(tensors, "position", config.frames, config.tokens, config.dim),
        noise=_shaped(tensors, "noise", *video),
        label=_take(tensors, "label").long(),
        **parts,
    )
