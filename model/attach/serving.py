# SPDX-License-Identifier: Apache-2.0
"""Which layers of a user's model a method can serve, and why not the others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from hw.errors import VidaError
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    FFNReuseConfig,
    KeyWeight,
    ORBISConfig,
    Over,
    PassThrough,
    ToMeConfig,
    ViDAConfig,
)
from model.attach.facts import AttentionFacts, Calibration
from model.attach.sites import LayerSite, attention_constants
from model.exact.sparsity.eager import check_scale
from model.networks import CROSS, FULL, TEMPORAL

#: Configurations that drop tokens of attention.
Reduction = ORBISConfig | DiToConfig | AsymRnRConfig | ToMeConfig
_LAYOUT = "where its frames are is not known: give calibrate() a Layout"
_PREFIX = ("text stands before the video's tokens in one matrix, and the video's rows do not predict its scores: "
           "EXIONConfig(eager=None)")


@dataclass(frozen=True)
class Layers:
    """The layers that are computed in integers, as the methods see them.

    Members
    -------
    calibration, sites : of the model
    keys : layers in integers
    """

    calibration: Calibration
    sites: dict[str, LayerSite]
    keys: Collection[str]

    def attentions(self) -> dict[str, AttentionFacts]:
        """Attentions in integers."""
        return {key: facts for key, facts in self.calibration.attentions.items() if key in self.keys}

    @property
    def has_prefix(self) -> bool:
        """Whether text stands before the video's tokens."""
        return self.calibration.geometry is not None and self.calibration.geometry.prefix > 0


@dataclass
class Served:
    """Numbers of the attentions and MLPs that a method serves, and (layer, reason) of the others."""

    layers: set[int] = field(default_factory=set)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def check(self, name: str, nothing: str) -> Served:
        """Itself; raises `VidaError` where nothing is served, with the first reason or with `nothing`."""
        if not self.layers:
            reason = f"{self.refused[0][0]}: {self.refused[0][1]}" if self.refused else nothing
            raise VidaError(f"{name} serves no layer of this model: {reason}")
        return self


def _attentions(layers: Layers, blocks: tuple[str, ...], reason: Callable[[str, AttentionFacts], str | None]) -> Served:
    """Attentions along one of `blocks` for which `reason` has no objection; cross-attention is left out silently."""
    served = Served()
    for key, facts in layers.attentions().items():
        site = layers.sites[key]
        if site.block not in blocks:
            if site.block != CROSS:
                served.refused.append((key, f"its axis is {site.block}, blocks= names {', '.join(blocks)}"))
            continue
        objection = reason(key, facts)
        if objection is None:
            served.layers.add(site.layer)
        else:
            served.refused.append((key, objection))
    return served


def _group(layers: Layers, key: str, facts: AttentionFacts, parts: str = "qkv") -> str | None:
    """Why an attention's projections cannot be told; None where they can."""
    if layers.calibration.geometry is None:
        return _LAYOUT
    for part in (*parts, "out"):
        if part not in facts.sources:
            name = "output projection" if part == "out" else f"projection of {part.upper()}"
            return f"its {name} was not found among the model's linear layers"
        if facts.sources[part][0] not in layers.keys:
            return f"its projection {facts.sources[part][0]} stays in float"
    return None


def serve_reduction(config: Reduction, layers: Layers) -> Served:
    """Attentions whose tokens may be dropped."""
    def reason(key: str, facts: AttentionFacts) -> str | None:
        objection = _group(layers, key, facts)
        if objection is None and isinstance(config, ToMeConfig) and not facts.same_input:
            return "Q, K and V have inputs of their own, and ToMe merges one for the three"
        if objection is None and isinstance(config, AsymRnRConfig) and config.kv_ratio and "v" not in facts.exact:
            return "V is not its projection's output, on which keys are matched: kv_ratio=0"
        return objection

    if isinstance(config, DiToConfig) and config.interval is None:
        raise VidaError("DiToConfig: the pair match ratio needs a run that matches at every step: give interval=, "
                        "which model.attach.dito_interval finds")
    if isinstance(config, ORBISConfig | DiToConfig) and config.key_weight is not KeyWeight.LOST:
        raise VidaError(f"{type(config).__name__}: key_weight={config.key_weight.value!r} is for the networks here: "
                        "key_weight=KeyWeight.LOST")
    blocks = config.blocks if isinstance(config, ORBISConfig | DiToConfig) else ("spatial", "full")
    return _attentions(layers, blocks, reason).check(type(config).__name__, "it has no attention in integers")


def serve_eager(config: EagerConfig, layers: Layers) -> Served:
    """Attentions whose scores follow from the projections' shared input alone."""
    def reason(key: str, facts: AttentionFacts) -> str | None:
        objection = _PREFIX if layers.has_prefix else _group(layers, key, facts)
        if objection is None and not facts.same_input:
            return "Q and K have inputs of their own, and one input predicts the scores"
        if objection is None and not facts.exact >= {"q", "k"}:
            return ("a norm or a rotary embedding stands between the projections and the scores, which are predicted "
                    "from the projections: EXIONConfig(eager=None)")
        if objection is None:
            try:
                check_scale(attention_constants(facts.absmax, facts.scale).softmax)
            except VidaError as error:
                return str(error)
        return objection

    return _attentions(layers, config.blocks, reason).check("EagerConfig", "it has no attention in integers")


def serve_ffn(_: FFNReuseConfig, layers: Layers) -> Served:
    """MLPs of two linear layers with an elementwise function between."""
    served = Served({site.layer for site in layers.sites.values() if site.kind == "fc1"})
    return served.check("FFNReuseConfig", "it has no two linear layers in integers with a GELU, SiLU or ReLU between "
                        "(GEGLU multiplies two halves, so an element has two sums): EXIONConfig(ffn=None)")


def check_ditto(config: DittoConfig) -> None:
    """Every layer is served; raises `VidaError` for differences that would have to pass from layer to layer."""
    if config.pass_through is not PassThrough.OFF:
        raise VidaError(f"DittoConfig: pass_through={config.pass_through.value!r}: what stands between two layers of "
                        "this model is its own code, on floats, so no two are known to follow each other linearly: "
                        "pass_through=PassThrough.OFF, which is exact")


def serve_vida(config: ViDAConfig, layers: Layers) -> Served:
    """Layers whose operands have one before them: a frame's or a timestep's."""
    geometry, served = layers.calibration.geometry, Served({site.layer for site in layers.sites.values()})
    if config.over is Over.TIMESTEPS:
        return served
    if geometry is None or geometry.frames < 2:
        reason = _LAYOUT if geometry is None else "its call has one frame"
        raise VidaError(f"ViDAConfig serves no layer of this model: {reason}; or over=Over.TIMESTEPS")
    for key in layers.attentions():
        axis = layers.sites[key].block
        if config.mixing and axis == FULL and layers.has_prefix:
            raise VidaError(f"ViDAConfig: text stands before the video's tokens in '{key}', and rows of text have no "
                            "frame before them: mixing=False")
        if not config.mixing and axis in (TEMPORAL, FULL):
            served.refused.append((key, "its matrices mix frames, so none has a frame before it: multiplied whole; "
                                   "mixing=True takes differences of its rows"))
    return served


def serve_cmc(config: CMCConfig, layers: Layers) -> Served:
    """Linear layers whose rows are tokens of several frames."""
    geometry, served = layers.calibration.geometry, Served()
    if geometry is None or geometry.frames < 2:
        reason = _LAYOUT if geometry is None else "its call has one frame, and rows are copied from another one"
        raise VidaError(f"CMCConfig serves no layer of this model: {reason}")
    served.layers = {site.layer for site in layers.sites.values() if site.kind in config.operators
                     and site.block not in ("none", CROSS)}
    if config.query_threshold is not None or config.score_threshold is not None:
        served.layers |= {layers.sites[key].layer for key in layers.attentions()}
    return served.check("CMCConfig", f"it has none of {', '.join(config.operators)} in integers")
