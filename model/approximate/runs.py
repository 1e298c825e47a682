# SPDX-License-Identifier: Apache-2.0
"""Ditto's static pass: which products of a network follow each other without a non-linear function between them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from model.exact.operators import Site
from model.networks import CROSS, SPATIAL, NetworkConfig


class Between(str, Enum):
    """What stands between a product and the next one."""

    REQUANTISE = "requantise"  #: a static scale: linear up to its rounding
    DIVIDE = "divide"  #: by the row sum, which every timestep changes, then a static scale
    SOFTMAX = "softmax"
    GELU = "gelu"
    LAYERNORM = "layernorm"  #: behind the gated residual


@dataclass(frozen=True)
class Link:
    """Two products that follow each other.

    Members
    -------
    operand : "q", "k", "v" or "" where the second product has but one operand
    whole : the second product needs the operand itself too: both of its operands change, so each is once the factor
        of the other's difference
    """

    first: Site
    second: Site
    operand: str
    between: Between
    whole: bool


def links(config: NetworkConfig) -> list[Link]:
    """Every pair of products that follow each other within the blocks of a network, in order."""
    found = []
    for layer, axes in enumerate(config.blocks):
        for axis in axes:
            scores, values, out = (Site(kind, layer, axis) for kind in ("scores", "values", "out"))
            if axis == CROSS:
                found.append(Link(Site("q", layer, axis), scores, "q", Between.REQUANTISE, False))
            else:
                project = Site("qkv", layer, axis)
                found += [Link(project, scores, operand, Between.REQUANTISE, True) for operand in "qk"]
                found.append(Link(project, values, "v", Between.REQUANTISE, True))
            found += [Link(scores, values, "p", Between.SOFTMAX, axis != CROSS),
                      Link(values, out, "", Between.DIVIDE, False)]
            following = axes[axes.index(axis) + 1 :]
            kind = ("q" if following[0] == CROSS else "qkv") if following else "fc1"
            after = following[0] if following else _mlp(axes)
            found.append(Link(out, Site(kind, layer, after), "", Between.LAYERNORM, False))
        fc1, fc2 = (Site(kind, layer, _mlp(axes)) for kind in ("fc1", "fc2"))
        found.append(Link(fc1, fc2, "", Between.GELU, False))
    return found


def _mlp(axes: tuple[str, ...]) -> str:
    """The axis that a block's MLP is named by."""
    return axes[0] if len(axes) == 1 else SPATIAL


def linear_links(config: NetworkConfig) -> list[Link]:
    """Those through which a difference can pass: a requantisation or a division stands between."""
    return [link for link in links(config) if link.between in (Between.REQUANTISE, Between.DIVIDE)]
