# SPDX-License-Identifier: Apache-2.0
"""From configuration objects to the operators of one video of an attached model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from model.approximate.chain import Approximate, Feature
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    Config,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    EXIONConfig,
    FFNReuseConfig,
    ORBISConfig,
    ToMeConfig,
    check_together,
)
from model.approximate.exion import FFNReuse
from model.approximate.tokens import TokenReduction
from model.approximate.work import Work
from model.attach.features import (
    Only,
    PartsAsymRnR,
    PartsCMC,
    PartsDiTo,
    PartsEager,
    PartsORBIS,
    PartsToMe,
    Projected,
    Projection,
)
from model.attach.layout import Geometry
from model.attach.serving import Layers, Served, serve_cmc, serve_eager, serve_ffn, serve_reduction
from model.attach.sites import LinearConstants, attention_constants
from model.exact.operators import Operators, Recorder
from model.exact.vector.scaling import Scale
from model.methods import Ditto

#: Timesteps of the longest schedule: those that a model was trained on.
_LONGEST = 1000
Part = CMCConfig | ORBISConfig | DiToConfig | AsymRnRConfig | ToMeConfig | EagerConfig | FFNReuseConfig


@dataclass(frozen=True)
class _Chosen:
    config: Part
    served: Served


def _parts(configs: Sequence[Config]) -> list[Part]:
    """Configurations of the features, outermost first: EXION's are innermost."""
    outer = [config for config in configs if not isinstance(config, DittoConfig | EXIONConfig)]
    exion = [config for config in configs if isinstance(config, EXIONConfig)]
    return [*outer, *(part for one in exion for part in (one.eager, one.ffn) if part is not None)]


def _serve(config: Part, layers: Layers) -> Served:
    match config:
        case CMCConfig():
            return serve_cmc(config, layers)
        case EagerConfig():
            return serve_eager(config, layers)
        case FFNReuseConfig():
            return serve_ffn(config, layers)
    return serve_reduction(config, layers)


class Methods:
    """How the operators of one video are made.

    Members
    -------
    uncovered : (layer, reason) of layers that a method leaves dense

    Raises `VidaError`, with the reason, for methods that cannot run together or that serve no layer.
    """

    def __init__(self, configs: Sequence[Config], model: nn.Module, layers: Layers, record: Recorder | None) -> None:
        check_together(configs)
        self.model, self.layers, self.record = model, layers, record
        self.exact = Ditto if any(isinstance(one, DittoConfig) for one in configs) else Operators
        self.chosen = [_Chosen(config, _serve(config, layers)) for config in _parts(configs)]
        self.uncovered = [(layer, f"{type(one.config).__name__}: {reason}")
                          for one in self.chosen for layer, reason in one.served.refused]

    def make(self, geometry: Geometry | None, constants: Callable[[str, nn.Linear], LinearConstants]) -> Approximate:
        """Fresh operators for one video; `constants` gives those of a linear layer."""
        work = Work()
        needed = any(isinstance(one.config, EagerConfig | AsymRnRConfig) for one in self.chosen)
        attentions = self._projected(constants) if needed else {}
        features = [Only(_feature(one.config, geometry, attentions, work), one.served.layers) for one in self.chosen]
        return Approximate(features, work, self.record, self.exact)

    def _projected(self, constants: Callable[[str, nn.Linear], LinearConstants]) -> dict[int, Projected]:
        """The projections of every attention in integers, by its number."""
        found = {}
        for key, facts in self.layers.attentions().items():
            attention = attention_constants(facts.absmax, facts.scale)
            parts = {}
            for place, part in enumerate("qkv"):
                if part not in facts.exact:
                    continue
                name, piece = facts.sources[part]
                one = constants(name, self.model.get_submodule(name.partition("#")[0]))
                width = facts.width
                columns = slice(piece * width, (piece + 1) * width)
                scale = Scale.from_real((one.places[columns] / attention.operands[place]).tolist())
                parts[part] = Projection(one.right[:, columns], one.bias[columns], scale)
            found[self.layers.sites[key].layer] = Projected(parts, facts.heads, attention.softmax)
        return found


def _feature(config: Part, geometry: Geometry | None, attentions: dict[int, Projected], work: Work) -> Feature:
    feature = _plain(config, geometry, attentions, work)
    if geometry is not None and isinstance(feature, TokenReduction):
        feature.prefix = geometry.prefix
    return feature


def _plain(config: Part, geometry: Geometry | None, attentions: dict[int, Projected], work: Work) -> Feature:
    match config:
        case CMCConfig():
            return PartsCMC(config, geometry, work)
        case ORBISConfig():
            return PartsORBIS(config, work)
        case DiToConfig():
            return PartsDiTo(config, frozenset(range(0, _LONGEST, config.interval)), work)
        case AsymRnRConfig():
            return PartsAsymRnR(config, geometry, attentions, work)
        case ToMeConfig():
            return PartsToMe(config, geometry, work)
        case EagerConfig():
            return PartsEager(config, attentions, work)
        case FFNReuseConfig():
            return FFNReuse(config, work)
