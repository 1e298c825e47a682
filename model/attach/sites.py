# SPDX-License-Identifier: Apache-2.0
"""What the layers of a user's model are to the methods, and their integer constants."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from hw.errors import VidaError
from model.attach.facts import Calibration
from model.attach.layout import Arrangement
from model.exact.operators import Site
from model.exact.vector.scaling import Scale
from model.exact.vector.softmax import LOG2_FRACTION_BITS, MEAN_FRACTION_BITS
from model.networks import CROSS, FULL, SPATIAL, TEMPORAL

#: Site's axis by arrangement; rows of no video are of no axis.
_AXES = {Arrangement.FRAMES: SPATIAL, Arrangement.PLACES: TEMPORAL, Arrangement.JOINT: FULL, Arrangement.OTHER: "none"}


@dataclass(frozen=True)
class LayerSite(Site):
    """A layer of a user's model.

    Members
    -------
    kind : "qkv", "out", "fc1", "fc2", "scores", "values"; "linear" for a layer that belongs to neither an attention
        nor an MLP
    layer : number of the attention or MLP, shared by its operators
    key : as `model.attach.tap` has it, with ":text" for the rows of text before a video
    part : which of Q, K and V a "qkv" layer gives: "q", "k", "v", or several ("qkv", "kv")
    """

    key: str = ""
    part: str = ""


@dataclass(frozen=True)
class LinearConstants:
    """Input scale (real value of a place), weights (K, N), bias (N,), real values (N,) of a place of the result."""

    scale: float
    right: Tensor
    bias: Tensor
    places: Tensor


@dataclass(frozen=True)
class AttentionConstants:
    """Real values of a place of Q, K, V and of the attention's int16 mean, and the softmax's scale."""

    operands: tuple[float, float, float]
    mean: float
    softmax: Scale


def static_scale(absmax: float) -> float:
    """Real value of an int8 place; a tensor that was zero throughout gets that of 1."""
    return (absmax or 1.0) / 127


def quantise8(x: Tensor, scale: float) -> Tensor:
    """Real values to int8 places, rounded half up and saturated, held as int64."""
    return torch.floor(x.detach().double() / scale + 0.5).clamp(-128, 127).long().cpu()


def linear_constants(layer: nn.Linear, absmax: float) -> LinearConstants:
    """Weights int8 by output channel, bias in places of the accumulator."""
    scale, weight = static_scale(absmax), layer.weight.detach().double().cpu()
    unit = weight.abs().amax(1).clamp(min=1e-9) / 127
    right = torch.floor(weight / unit[:, None] + 0.5).long().t().contiguous()
    places = unit * scale
    bias = torch.zeros(len(weight)).double() if layer.bias is None else layer.bias.detach().double().cpu()
    return LinearConstants(scale, right, torch.floor(bias / places + 0.5).long(), places)


def attention_constants(absmax: Iterable[float], scale: float) -> AttentionConstants:
    """Constants of an attention whose scores are multiplied by `scale` before the softmax."""
    q, k, v = (static_scale(one) for one in absmax)
    log2 = Scale.from_real(q * k * scale * math.log2(math.e) * (1 << LOG2_FRACTION_BITS))
    return AttentionConstants((q, k, v), v / (1 << MEAN_FRACTION_BITS), log2)


def chosen(calibration: Calibration, layers: Iterable[str]) -> set[str]:
    """Keys of covered layers that one of the patterns names; a pattern's "*" matches dots too.

    Raises `VidaError` for a pattern that names none.
    """
    keys = [key for key in (*calibration.linears, *calibration.attentions) if key not in calibration.uncovered]
    found: set[str] = set()
    for pattern in layers:
        named = {key for key in keys if fnmatchcase(key.partition("#")[0], pattern)}
        if not named:
            raise VidaError(f"no covered layer is named '{pattern}': there are {', '.join(keys[:4])}, ...")
        found |= named
    return found


def find_sites(model: nn.Module, calibration: Calibration, keys: set[str]) -> dict[str, LayerSite]:
    """The site of every linear layer, and under an attention's key that of its scores.

    Only layers in `keys` belong to an attention or an MLP; an MLP needs both of its layers.
    """
    sites: dict[str, LayerSite] = {}
    number = 0
    for key in [key for key in calibration.attentions if key in keys]:
        facts = calibration.attentions[key]
        arrangement = calibration.arrangement(model, key)
        axis = _attention_axis(model, calibration, key, arrangement)
        sites[key] = LayerSite("scores", number, axis, key)
        parts: dict[str, str] = {}
        for part in "qkv":
            name = facts.sources[part][0] if part in facts.sources else ""
            if name in keys:
                parts[name] = parts.get(name, "") + part
        for name, part in parts.items():
            sites[name] = LayerSite("qkv", number, axis, name, part)
        name = facts.sources["out"][0] if "out" in facts.sources else ""
        if name in keys:
            sites[name] = LayerSite("out", number, axis, name)
        number += 1
    for first, second in calibration.pairs:
        arrangement = calibration.arrangement(model, first)
        embedding = calibration.layout is not None and arrangement is Arrangement.OTHER  # of text, no MLP of the video
        if embedding or not {first, second} <= keys:
            continue
        axis = _AXES[arrangement]
        for key, kind in ((first, "fc1"), (second, "fc2")):
            sites.setdefault(key, LayerSite(kind, number, axis, key))
        number += 1
    for key in calibration.linears:
        if key not in sites:
            sites[key] = LayerSite("linear", number, _AXES[calibration.arrangement(model, key)], key)
            number += 1
    return sites


def _attention_axis(model: nn.Module, calibration: Calibration, key: str, arrangement: Arrangement) -> str:
    """Axis of an attention; CROSS where its keys are rows of no video."""
    facts = calibration.attentions[key]
    source = facts.sources.get("v")
    other = source is not None and calibration.arrangement(model, source[0]) is Arrangement.OTHER
    if arrangement is not Arrangement.OTHER and (other or facts.shape[0][-2] != facts.shape[1][-2]):
        return CROSS
    return FULL if arrangement is Arrangement.OTHER else _AXES[arrangement]
