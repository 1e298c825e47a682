# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the layout of diffusers' `save_pretrained`: checked by name and shape before a weight is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from hw.errors import VidaError

_STEM = "diffusion_pytorch_model"
#: Seed of the weights of a tiny model.
_SEED = 0
#: Shapes of tiny models, for tests and first tries.
TINY: dict[str, dict[str, Any]] = {
    "LatteTransformer3DModel": dict(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, attention_bias=True,
        cross_attention_dim=16, sample_size=8, patch_size=2, activation_fn="gelu-approximate", caption_channels=12,
        num_embeds_ada_norm=1000, norm_type="ada_norm_single", norm_elementwise_affine=False, norm_eps=1e-6,
        video_length=4),
    "CogVideoXTransformer3DModel": dict(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, num_layers=2,
        time_embed_dim=8, text_embed_dim=12, sample_width=8, sample_height=8, sample_frames=13, max_text_seq_length=6),
    "WanTransformer3DModel": dict(
        num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=12, freq_dim=16,
        ffn_dim=48, num_layers=2),
    "DiTTransformer2DModel": dict(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, sample_size=8),
}


def diffusers_class(name: str) -> type[nn.Module]:
    """The class of that name; raises `VidaError` where diffusers is not installed or has none."""
    try:
        import diffusers
        return getattr(diffusers, name)
    except ImportError as error:
        raise VidaError(f"diffusers is not installed ({error}): pip install 'vida[diffusers]'") from error
    except AttributeError as error:
        raise VidaError(f"diffusers has no class {name}: {error}") from error


def random_weights(name: str) -> nn.Module:
    """A tiny model of a class, the same weights every time."""
    kind = diffusers_class(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return kind(**TINY[name])


def load_folder(name: str, folder: Path) -> nn.Module:
    """A model of class `name` from a folder of `save_pretrained`, in float32.

    Raises `VidaError`, naming file, tensor and shape, for a folder that is missing or of another class, and for
    tensors that are missing, unexpected or of another shape.
    """
    kind, config = diffusers_class(name), _configuration(name, folder)
    files = _files(folder)
    try:
        with torch.device("meta"):
            expected = {key: tuple(value.shape) for key, value in kind.from_config(config).state_dict().items()}
    except Exception as error:      # whatever the class's constructor finds wrong with its arguments
        raise VidaError(f"{folder / 'config.json'} describes no {name}: {type(error).__name__}: {error}") from error
    ignored = getattr(kind, "_keys_to_ignore_on_load_unexpected", None) or []
    found = {key: (shape, file) for file in files for key, shape in _shapes(file).items()
             if key in expected or not any(re.search(pattern, key) for pattern in ignored)}
    for key in sorted(expected.keys() | found.keys()):
        if key not in found:
            raise VidaError(f"{folder}: tensor '{key}' of shape {expected[key]} is missing: config.json and "
                            "weights are not of one model, or a part of the checkpoint was not copied")
        shape, file = found[key]
        if shape != expected.get(key):
            wanted = f"expected {expected[key]}" if key in expected else f"not expected in a {name} of this config.json"
            raise VidaError(f"{file}: tensor '{key}' of shape {shape} is {wanted}")
    model = kind.from_config(config)
    for file in files:
        with safe_open(file, framework="pt") as stored:
            model.load_state_dict({key: stored.get_tensor(key).float() for key in stored.keys() if key in expected},
                                  strict=False)
    return model.eval()


def _configuration(name: str, folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise VidaError(f"no such folder: {folder}")
    path = folder / "config.json"
    if not path.is_file():
        pipeline = (folder / "model_index.json").is_file()
        hint = f"; this is a whole pipeline, give {folder / 'transformer'}" if pipeline else ""
        raise VidaError(f"{folder} has no config.json{hint}")
    try:
        config = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise VidaError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict):
        raise VidaError(f"{path} holds a {type(config).__name__}, an object with the fields of a {name} is needed")
    found = config.get("_class_name", name)
    if found != name:
        raise VidaError(f"{path} is of class {found}: give --model diffusers:{found}, or weights of a {name}")
    return config


def _files(folder: Path) -> list[Path]:
    """The checkpoint's files: one, or those of an index."""
    index = folder / f"{_STEM}.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (OSError, KeyError, ValueError, AttributeError) as error:
            raise VidaError(f"cannot read {index}: {error}") from error
    else:
        names = [f"{_STEM}.safetensors"]
    for one in names:
        if not (folder / one).is_file():
            others = sorted(path.name for path in folder.glob("*.bin"))
            hint = f" ({others[0]} is of the old format: save it again with safe_serialization)" if others else ""
            raise VidaError(f"{folder} has no {one}{hint}")
    return [folder / one for one in names]


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="pt") as stored:
            return {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}
    except (OSError, SafetensorError) as error:
        raise VidaError(f"{path} is not a readable safetensors file: {error}") from error
