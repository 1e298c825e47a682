# SPDX-License-Identifier: Apache-2.0
"""The vector unit's constants as int64 tensors, as a quantised checkpoint (safetensors) holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

import torch

from hw.errors import VidaError

Params = TypeVar("Params")


def to_tensors(params: Any, prefix: str) -> dict[str, torch.Tensor]:
    """Flatten a dataclass of integers: {"<prefix>.<field>": tensor}, 0-d for an integer, 1-d for a tuple."""
    tensors: dict[str, torch.Tensor] = {}
    for field in fields(params):
        name, value = f"{prefix}.{field.name}", getattr(params, field.name)
        if is_dataclass(value):
            tensors.update(to_tensors(value, name))
        else:
            tensors[name] = torch.tensor(value, dtype=torch.int64)
    return tensors


def from_tensors(kind: type[Params], tensors: Mapping[str, torch.Tensor], prefix: str) -> Params:
    """Build a `kind` (`VectorTables`, `Scale`, `LayerNormParams`, ...) from what `to_tensors` made, checking
    its widths.

    Raises `VidaError` for a tensor that is missing, is not int64 or has the wrong number of axes.
    """
    values = {}
    for name, hint in get_type_hints(kind).items():
        key = f"{prefix}.{name}"
        if is_dataclass(hint):
            values[name] = from_tensors(hint, tensors, key)
            continue
        if key not in tensors:
            raise VidaError(f"tensor {key!r} of the checkpoint is missing")
        tensor, axes = tensors[key], 0 if hint is int else 1
        if tensor.dtype != torch.int64 or tensor.dim() != axes:
            raise VidaError(f"tensor {key!r}: {tensor.dtype}, {tensor.dim()} axes; int64 with {axes} needed")
        values[name] = tensor.item() if axes == 0 else tuple(tensor.tolist())
    return kind(**values)
