# SPDX-License-Identifier: Apache-2.0
"""Safetensors files that carry a format number, their shape and the command that made them."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hw.errors import VidaError
from model.networks import NetworkConfig, preset
from model.transformer import VideoTransformer

#: Format of every file written here; another one is refused.
FORMAT = 1
#: Where the trained and the quantised networks live.
WEIGHTS = Path(__file__).parent / "weights"


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, object]) -> None:
    """Write tensors and metadata to `path`, whole or not at all; raises `VidaError` where that fails."""
    text = {"format": str(FORMAT)} | {key: json.dumps(value) for key, value in metadata.items()}
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata=text)
        partial.chmod(0o644)  # the library makes it private
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            partial.unlink()
        raise VidaError(f"cannot write {path}: {error}") from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors and metadata of `path`; raises `VidaError` for a missing, corrupt or other-format file."""
    if not path.is_file():
        raise VidaError(f"no such file: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            text = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise VidaError(f"{path} is not a readable safetensors file: {error}") from error
    if text.get("format") != str(FORMAT):
        raise VidaError(f"{path} has format {text.get('format', 'none')}, only format {FORMAT} is read")
    return tensors, {key: json.loads(value) for key, value in text.items() if key != "format"}


def check_shape(path: Path, metadata: dict[str, object], config: NetworkConfig) -> None:
    """Raise `VidaError` unless the file at `path` holds a network of shape `config`."""
    if metadata.get("config") != config.as_dict():
        raise VidaError(f"{path} holds a network of shape {metadata.get('config')}, expected {config.as_dict()}")


def stored_name(name: str, config: NetworkConfig) -> str:
    """What a float network's tensor is called in a file: the axis only where a block has several attentions."""
    alone = all(len(axes) == 1 for axes in config.blocks)
    return re.sub(r"^(blocks\.\d+)\.attention\.\w+", r"\1", name) if alone else name


def save_network(path: Path, network: VideoTransformer, metadata: dict[str, object]) -> None:
    """Write a float network as float16 (half the bytes; quantisation to int8 is far coarser)."""
    state = network.state_dict().items()
    tensors = {stored_name(name, network.config): tensor.half() for name, tensor in state}
    write(path, tensors, {"config": network.config.as_dict()} | metadata)


def load_network(name: str, path: Path | None = None) -> tuple[VideoTransformer, dict[str, object]]:
    """The trained network of preset `name` and its metadata, from `path` or the one in the repository.

    Raises `VidaError` for an unknown preset, an unreadable file or a checkpoint of another shape.
    """
    config = preset(name)
    path = path or WEIGHTS / f"{name}.safetensors"
    tensors, metadata = read(path)
    check_shape(path, metadata, config)
    network = VideoTransformer(config)
    names = {stored_name(name, config): name for name in network.state_dict()}
    shapes = {key: tuple(network.state_dict()[name].shape) for key, name in names.items()}
    for key in sorted(shapes.keys() | tensors.keys()):
        found = tuple(tensors[key].shape) if key in tensors else "nothing"
        if found != shapes.get(key):
            raise VidaError(f"{path}: tensor '{key}' is {found}, expected {shapes.get(key, 'nothing')}")
    network.load_state_dict({names[key]: value.float() for key, value in tensors.items()})
    return network.eval(), metadata


def publish(source: Path, target: Path) -> None:
    """Copy a finished file to where it is committed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def save_state(path: Path, state: dict[str, object]) -> None:
    """Write a training state that `load_state` resumes from, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    torch.save(state, partial)
    os.replace(partial, path)


def load_state(path: Path) -> dict[str, object]:
    """A training state; raises `VidaError` when it cannot be read."""
    try:
        return torch.load(path, weights_only=True)
    except Exception as error:
        raise VidaError(f"cannot resume from {path}: {error}") from error
