# SPDX-License-Identifier: Apache-2.0
"""Golden vectors: captured matrix products as a safetensors file and a JSON index beside it.

Both carry "format": 1. The index lists the entries in order, each with its shape and the SHA-256 of its
tensors; the tensors of entry NAME are `NAME.current`, `.reference`, `.right` (int8), `.init` and `.result`
(int32).
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hw.errors import VidaError
from model import checkpoints

FORMAT = 1
#: The committed set.
GOLDEN = Path(__file__).parent.parent / "verif" / "vectors" / "golden"
_TYPES = {
    "current": torch.int8,
    "reference": torch.int8,
    "right": torch.int8,
    "init": torch.int32,
    "result": torch.int32,
}


@dataclass(frozen=True)
class Entry:
    """One product `result = init + (current - reference) @ right`, oriented as the array computes it.

    `current`, `reference` are (M, K) int8, `right` (K, N) int8, `init`, `result` (M, N) int32. `frame` is
    the token position for a temporal attention's products; `head` is -1 for linear operators. `steps` is the
    length of the sampling run, `step` the place in it.
    """

    name: str
    network: str
    kind: str
    layer: int
    block: str
    steps: int
    step: int
    frame: int
    head: int
    reference_kind: str
    product: str
    current: Tensor
    reference: Tensor
    right: Tensor
    init: Tensor
    result: Tensor

    def digest(self) -> str:
        """SHA-256 over name, type, shape and bytes of the five tensors."""
        state = hashlib.sha256()
        for name, dtype in _TYPES.items():
            tensor = getattr(self, name).to(dtype).contiguous()
            state.update(f"{name} {dtype} {tuple(tensor.shape)}".encode())
            state.update(tensor.numpy().tobytes())
        return state.hexdigest()

    def facts(self) -> dict[str, object]:
        """The entry's line in the index."""
        rows, depth = self.current.shape
        names = ("name", "network", "kind", "layer", "block", "steps", "step", "frame", "head", "product")
        shape = {"m": rows, "k": depth, "n": self.right.shape[1]}
        return {name: getattr(self, name) for name in names} | {"reference": self.reference_kind} | shape


def digest(entries: list[Entry]) -> str:
    """SHA-256 of a set: over the names and digests of its entries in order."""
    return _combine([(entry.name, entry.digest()) for entry in entries])


def _combine(pairs: list[tuple[str, str]]) -> str:
    return hashlib.sha256("\n".join(f"{name} {value}" for name, value in pairs).encode()).hexdigest()


def write(stem: Path, entries: list[Entry], command: str) -> None:
    """Write `stem`.safetensors and `stem`.json; raises `VidaError` where the folder cannot be written."""
    tensors = {
        f"{entry.name}.{name}": getattr(entry, name).to(dtype) for entry in entries for name, dtype in _TYPES.items()
    }
    lines = [entry.facts() | {"sha256": entry.digest()} for entry in entries]
    index = {"format": FORMAT, "command": command, "sha256": digest(entries), "entries": lines}
    checkpoints.write(stem.with_suffix(".safetensors"), tensors, {"command": command})
    partial, path = stem.with_suffix(".json.part"), stem.with_suffix(".json")
    try:
        partial.write_text(json.dumps(index, indent=1) + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise VidaError(f"cannot write {path}: {error}") from error


def read_index(stem: Path) -> dict[str, object]:
    """The index `stem`.json; raises `VidaError` for a missing or broken file or one of another format."""
    path = stem.with_suffix(".json")
    try:
        index = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise VidaError(f"cannot read the vectors' index {path}: {error}") from error
    found = index.get("format") if isinstance(index, dict) else None
    if found != FORMAT:
        raise VidaError(f"{path} has format {found}, only format {FORMAT} is read")
    return index


def read(stem: Path = GOLDEN) -> list[Entry]:
    """The vectors of `stem`.safetensors and `stem`.json, int64 and checked against their hashes.

    Raises `VidaError`, naming the file and the reason, for vectors that are missing, corrupt or of another
    format.
    """
    index, path = read_index(stem), stem.with_suffix(".safetensors")
    tensors, _ = checkpoints.read(path)
    try:
        return [_entry(line, tensors) for line in index["entries"]]
    except (KeyError, TypeError) as error:
        raise VidaError(f"{path} and its index do not fit together: {error}") from error
    except ValueError as error:
        raise VidaError(f"{path}: {error}") from error


def _entry(line: dict[str, object], tensors: dict[str, Tensor]) -> Entry:
    facts = {key: value for key, value in line.items() if key not in ("reference", "m", "k", "n", "sha256")}
    operands = {name: tensors[f"{line['name']}.{name}"].long() for name in _TYPES}
    entry = Entry(**facts, reference_kind=line["reference"], **operands)
    if entry.digest() != line["sha256"]:
        raise ValueError(f"entry '{entry.name}' does not match its hash in the index")
    return entry
