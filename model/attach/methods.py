# SPDX-License-Identifier: Apache-2.0
"""From configuration objects to the operators of one video of an attached model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

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
    ViDAConfig,
    check_together,
)
from model.approximate.ditto import DefoDitto
from model.approximate.exion import FFNReuse
from model.approximate.tokens import TokenReduction
from model.approximate.vida import ViDA
from model.approximate.work import Work
from model.attach.features import (
    Only,
    PartsCMC,
    PartsDiTo,
    PartsEager,
    PartsORBIS,
    Projected,
    Projection,
)
from model.attach.layout import Geometry
from model.attach.random_features import PartsAsymRnR, PartsToMe
from model.attach.serving import (
    Layers,
    Served,
    check_ditto,
    serve_cmc,
    serve_eager,
    serve_ffn,
    serve_reduction,
    serve_vida,
)
from model.attach.sites import LinearConstants, attention_constants
from model.exact.operators import Operators, Recorder
from model.exact.vector.scaling import Scale

#: Timesteps of the longest schedule: those that a model was trained on.
_LONGEST = 1000
Part = CMCConfig | ORBISConfig | DiToConfig | AsymRnRConfig | ToMeConfig | EagerConfig | FFNReuseConfig


@dataclass(frozen=True)
class _Chosen:
    config: Part
    served: Served


def _parts(configs: Sequence[Config]) -> list[Part]:
    """Configurations of the features, outermost first: EXION's are innermost."""
    outer = [config for config in configs if not isinstance(config, DittoConfig | ViDAConfig | EXIONConfig)]
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
        for config in configs:
            if isinstance(config, DittoConfig):
                check_ditto(config)
        self.model, self.layers, self.record = model, layers, record
        self.differences = [one for one in configs if isinstance(one, DittoConfig | ViDAConfig)]
        self.chosen = [_Chosen(config, _serve(config, layers)) for config in _parts(configs)]
        refused = [(type(one.config).__name__, one.served) for one in self.chosen]
        refused += [("ViDAConfig", serve_vida(one, layers)) for one in configs if isinstance(one, ViDAConfig)]
        self.uncovered = [(layer, f"{name}: {reason}") for name, served in refused for layer, reason in served.refused]

    def _inner(self, geometry: Geometry | None) -> Callable[[Recorder], Operators]:
        """What makes the innermost operators, from who records their jobs."""
        for config in self.differences:
            if isinstance(config, DittoConfig):
                return partial(DefoDitto, config)
            return partial(ViDA, config, 1 if geometry is None else geometry.frames)
        return Operators

    def make(self, geometry: Geometry | None, constants: Callable[[str, nn.Linear], LinearConstants],
             counting: bool) -> Approximate:
        """Fresh operators for one video; `constants` gives those of a linear layer, `counting` counts their work."""
        work = Work()
        needed = any(isinstance(one.config, EagerConfig | AsymRnRConfig) for one in self.chosen)
        attentions = self._projected(constants) if needed else {}
        features = [Only(_feature(one.config, geometry, attentions, work), one.served.layers) for one in self.chosen]
        return Approximate(features, work, self.record, self._inner(geometry), counting)

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
