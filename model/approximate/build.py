# SPDX-License-Identifier: Apache-2.0
"""From configuration objects to the operators of one sampling run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from hw.errors import VidaError
from model.approximate.chain import Approximate, Feature
from model.approximate.cmc import CMC
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    Config,
    DiToConfig,
    DittoConfig,
    EXIONConfig,
    ORBISConfig,
    PassThrough,
    ToMeConfig,
    ViDAConfig,
    check_together,
)
from model.approximate.ditto import DefoDitto
from model.approximate.exion import EagerPrediction, FFNReuse
from model.approximate.guided import ORBIS, DiTo
from model.approximate.passing import PassingDitto
from model.approximate.random_tokens import AsymRnR, ToMe
from model.approximate.runs import linear_links
from model.approximate.vida import ViDA
from model.approximate.work import Work
from model.exact.match.dito import interval, matching_steps
from model.exact.network import QuantisedNetwork
from model.exact.operators import Operators, Recorder
from model.exact.recover.tables import RowTable
from model.exact.step import denoise
from model.quantise import CALIBRATION_SEED
from model.sample import STEPS, starting_noise


def match_history(network: QuantisedNetwork, config: DiToConfig, steps: int = STEPS) -> list[list[RowTable]]:
    """Tables of every timestep of an unreduced run of a calibration video, without penalty (offline)."""
    feature = DiTo(config.model_copy(update={"weight": 0}), frozenset(range(steps)), Work(), network)
    operators = Approximate([feature], feature.work)
    video, history = starting_noise(network.config, 1, CALIBRATION_SEED)[0], []
    for step in range(steps):
        video = denoise(network, video, 0, step, steps, operators)
        history.append([table for layer in sorted(feature.found) for table in feature.found[layer]])
    return history


def dito_steps(network: QuantisedNetwork, config: DiToConfig, steps: int = STEPS) -> frozenset[int]:
    """Matching timesteps: every `interval`-th, or as the pair match ratio of a calibration video says."""
    if config.interval is not None:
        return frozenset(range(0, steps, config.interval))
    history = match_history(network, config, steps)
    if config.adaptive:
        return frozenset(matching_steps(history, config.match_ratio, config.ratio))
    return frozenset(range(0, steps, interval(history, config.match_ratio, config.ratio)))


def features(configs: Sequence[Config], network: QuantisedNetwork, steps: int, work: Work,
             kinds: Mapping[type[Feature], type[Feature]] = MappingProxyType({})) -> list[Feature]:
    """What `configs` rewrite or leave out, outermost first; ViDA and Ditto, which compute, are none of them.

    kinds : class of a feature -> the one to be made in its place, of the same parameters
    """
    chosen = [config for config in configs if not isinstance(config, (DittoConfig, ViDAConfig))]
    chosen.sort(key=lambda config: isinstance(config, EXIONConfig))  # EXION's mask is innermost
    return [kinds.get(kind, kind)(*arguments) for config in chosen
            for kind, arguments in _features(config, network, steps, work)]


def _features(config: Config, network: QuantisedNetwork, steps: int, work: Work) -> list[tuple[type[Feature], tuple]]:
    side = network.config.size // network.config.patch
    match config:
        case CMCConfig():
            return [(CMC, (config, (side, side), work))]
        case ORBISConfig():
            return [(ORBIS, (config, work, network))]
        case DiToConfig():
            return [(DiTo, (config, dito_steps(network, config, steps), work, network))]
        case AsymRnRConfig():
            return [(AsymRnR, (config, network, work))]
        case ToMeConfig():
            return [(ToMe, (config, network, work))]
        case EXIONConfig():
            eager = [] if config.eager is None else [(EagerPrediction, (config.eager, network, work))]
            return eager + ([] if config.ffn is None else [(FFNReuse, (config.ffn, work))])
    raise VidaError(f"{type(config).__name__} is no approximation")


def _exact(configs: Sequence[Config], network: QuantisedNetwork) -> Callable[[Recorder], Operators]:
    """What makes the innermost operators, from who records their jobs."""
    for config in configs:
        match config:
            case DittoConfig(pass_through=PassThrough.OFF):
                return lambda record: DefoDitto(config, record)
            case DittoConfig():
                return lambda record: PassingDitto(config, linear_links(network.config), record)
            case ViDAConfig():
                return lambda record: ViDA(config, network.config.frames, record)
    return Operators


def build(
    configs: Sequence[Config],
    network: QuantisedNetwork,
    steps: int = STEPS,
    record: Recorder | None = None,
    counting: bool = True,
) -> Approximate:
    """Fresh operators for one sampling run of `steps` steps by the methods of `configs`; `counting` its work.

    A DiTo without an interval samples a calibration video first. Raises `VidaError`, with the reason, for methods
    that cannot run together or a shape that one cannot serve.
    """
    check_together(configs)
    work = Work()
    return Approximate(features(configs, network, steps, work), work, record, _exact(configs, network), counting)
