# SPDX-License-Identifier: Apache-2.0
"""What a calibrating run showed of a model's layers, and which attentions the integer softmax can serve."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hw.vector.operations import TOKENS_MAX
from model.attach.layout import Arrangement, Geometry, Layout
from model.attach.tap import AttentionCall


@dataclass
class LinearFacts:
    """What was seen of a linear layer: largest magnitude and shape of its input."""

    absmax: float
    shape: tuple[int, ...]


@dataclass
class AttentionFacts:
    """What was seen of an attention.

    Members
    -------
    absmax : largest magnitudes of Q, K, V
    shape : of Q and of K
    sources : by "q", "k" and "v", the linear layer that projects that operand and the part of its output that it is;
        "out": the layer that reads the attention's output
    exact : those of Q, K and V that are the projection's output bit for bit; something row by row (a norm, a rotary
        embedding) stands between for the others, whose projection is told by its name
    same_input : whether the projections of Q, K and V share their input
    scale : of scores before the softmax
    """

    absmax: list[float]
    shape: tuple[tuple[int, ...], tuple[int, ...]]
    sources: dict[str, tuple[str, int]] = field(default_factory=dict)
    exact: frozenset[str] = frozenset()
    same_input: bool = False
    scale: float = 1.0

    @property
    def heads(self) -> int:
        """Heads of the attention."""
        return self.shape[0][-3]

    @property
    def width(self) -> int:
        """Channels of all heads."""
        return self.heads * self.shape[0][-1]


@dataclass
class Calibration:
    """What one float run showed; keys are those of `model.attach.tap`, in the order of the calls.

    Members
    -------
    pairs : of MLPs, (first layer, second layer) to the activation between them
    uncovered : (layer, reason) of what stays in float
    layout, geometry : None for a model whose layout is not known; the geometry of the first call
    """

    linears: dict[str, LinearFacts] = field(default_factory=dict)
    attentions: dict[str, AttentionFacts] = field(default_factory=dict)
    pairs: dict[tuple[str, str], str] = field(default_factory=dict)
    uncovered: dict[str, str] = field(default_factory=dict)
    layout: Layout | None = None
    geometry: Geometry | None = None

    def arrangement(self, model: nn.Module, name: str) -> Arrangement:
        """Arrangement of a layer's tokens; OTHER without a layout."""
        return Arrangement.OTHER if self.layout is None else self.layout.arrange(model, name.partition("#")[0])


def unfit(call: AttentionCall) -> str | None:
    """Why the integer softmax cannot serve an attention; None where it can."""
    if call.grouped or call.query.shape[:-2] != call.key_rows.shape[:-2]:
        return (f"heads of Q {tuple(call.query.shape)} and K {tuple(call.key_rows.shape)} differ: grouped heads are "
                "not covered; repeat K and V before the attention")
    if call.query.dim() < 3:
        return f"Q of shape {tuple(call.query.shape)}: (..., heads, tokens, channels) needed"
    if call.key_rows.shape[-2] > TOKENS_MAX:
        return (f"{call.key_rows.shape[-2]} keys, at most {TOKENS_MAX} fit the softmax's row sum: sample a smaller "
                "or shorter video")
    if call.dropout:
        return f"dropout of {call.dropout}: call model.eval() first"
    if call.mask is not None and call.mask.dtype is not torch.bool and not is_switch(call.mask):
        return "a mask that adds to scores: only masks that drop keys are covered"
    return None


def is_switch(mask: Tensor) -> bool:
    """Whether an additive mask holds only 0 and values that make a probability 0."""
    return bool(((mask == 0) | (mask <= -1000)).all())
