# SPDX-License-Identifier: Apache-2.0
"""An entry of the laws' golden vectors (`model.law_vectors`): one call, its tensors and their hash; and the file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hw.errors import VidaError
from model import checkpoints

FORMAT = 1


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


def digest(found: list[LawEntry]) -> str:
    """SHA-256 of a set: over the names and digests of its entries in order."""
    return hashlib.sha256("\n".join(f"{one.name} {one.digest()}" for one in found).encode()).hexdigest()


def write(stem: Path, found: list[LawEntry], command: str) -> None:
    """Write `stem`.safetensors and `stem`.json; raises `VidaError` where the folder cannot be written."""
    tensors = {name: tensor for one in found for name, tensor in one.tensors().items()}
    checkpoints.write(stem.with_suffix(".safetensors"), tensors, {"command": command})
    lines = [{"name": one.name, "law": one.law, "parameters": one.parameters, "sha256": one.digest()} for one in found]
    index = {"format": FORMAT, "command": command, "sha256": digest(found), "entries": lines}
    try:
        stem.with_suffix(".json").write_text(json.dumps(index, indent=1) + "\n")
    except OSError as error:
        raise VidaError(f"cannot write {stem.with_suffix('.json')}: {error}") from error
