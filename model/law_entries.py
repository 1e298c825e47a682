# SPDX-License-Identifier: Apache-2.0
"""An entry of the laws' golden vectors (`model.law_vectors`): one call, its tensors and their hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LawEntry:
    """One call: `law` is a module path and a function's name, `parameters` what is not a tensor."""

    name: str
    law: str
    parameters: dict[str, Any]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by their name in the file, in the smallest signed integer type that holds each."""
        parts = {"in": self.inputs, "out": self.outputs}
        return {
            f"{self.name}.{side}.{key}": _smallest(x) for side, part in parts.items() for key, x in part.items()
        }

    def digest(self) -> str:
        """SHA-256 over name, type, shape and bytes of the tensors."""
        state = hashlib.sha256()
        for name, tensor in self.tensors().items():
            state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            state.update(tensor.contiguous().numpy().tobytes())
        return state.hexdigest()


def _smallest(x: Tensor) -> Tensor:
    for kind in (torch.int8, torch.int16, torch.int32):
        limits = torch.iinfo(kind)
        if not x.numel() or limits.min <= int(x.min()) and int(x.max()) <= limits.max:
            return x.to(kind)
    return x.to(torch.int64)
