# SPDX-License-Identifier: Apache-2.0
"""`apply`: a method on an unmodified torch module, until it is removed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from torch import nn

from hw.errors import VidaError
from model.approximate.config import Config, DiToConfig
from model.attach.calibration import calibrate
from model.attach.engine import Engine
from model.attach.facts import Calibration
from model.attach.features import Only, PartsDiTo
from model.attach.methods import Methods
from model.attach.serving import Layers
from model.attach.sites import chosen, find_sites
from model.attach.statistics import LayerStatistics
from model.attach.tap import Tap
from model.exact.match.dito import interval
from model.exact.operators import Recorder

_ACTIVE: weakref.WeakKeyDictionary[nn.Module, list[Attached]] = weakref.WeakKeyDictionary()


class Attached:
    """A method at work on a model; a context manager that removes it.

    Members
    -------
    covered : layers that are computed in integers
    """

    def __init__(self, model: nn.Module, engine: Engine, uncovered: list[tuple[str, str]]) -> None:
        self.model, self.engine = model, engine
        self.covered, self.refused = sorted(engine.keys), uncovered
        self.tap = Tap(model, engine)
        _ACTIVE.setdefault(model, []).append(self)

    @property
    def uncovered(self) -> list[tuple[str, str]]:
        """(layer, reason) of layers that stay in float, and of those that a method leaves dense."""
        return [*self.refused, *self.engine.unseen.items()]

    def reset(self) -> None:
        """The next call begins another video: no reference is kept."""
        self.engine.reset()

    def remove(self) -> None:
        """Take the hooks off; the model is what it was. A second time does nothing."""
        self.tap.remove()
        active = _ACTIVE.get(self.model, [])
        if self in active:
            active.remove(self)

    def statistics(self) -> list[LayerStatistics]:
        """What was counted since `apply`, by operator in the order of the calls."""
        if self.engine.watching is None:
            raise VidaError("nothing was counted: apply(..., statistics=True)")
        return list(self.engine.watching.layers.values())

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.remove()


def apply(
    model: nn.Module,
    configs: Config | Sequence[Config],
    calibration: Calibration | Callable[[], object],
    *,
    layers: Iterable[str] = ("*",),
    branches: int = 1,
    statistics: bool = True,
    record: Recorder | None = None,
) -> Attached:
    """Compute a model's linear layers and attentions in integers, by one method or several, until `remove`.

    Parameters
    ----------
    model : unmodified; its parameters are read, never written
    configs : of the methods (`model.approximate.config`); none is dense int8
    calibration : of `calibrate`, or a run to calibrate on
    layers : patterns of the names of the layers to compute ("transformer_blocks.*.attn1*"); others stay in float
    branches : calls of the model that make one timestep: 2 for guidance in two calls, 1 for one of doubled batch
    statistics : count operands, which keeps one byte for each
    record : called with every `Job`

    Raises `VidaError`, with the reason, for methods that cannot run together or that serve no layer, for patterns that
    name none, for a calibration of another model, and for layers that another method already computes.
    """
    if branches < 1:
        raise VidaError(f"{branches} branches, at least 1 allowed")
    if not isinstance(calibration, Calibration):
        calibration = calibrate(model, calibration)
    keys = chosen(calibration, layers)
    _check_model(model, calibration, keys)
    layers_in = Layers(calibration, find_sites(model, calibration, keys), frozenset(keys))
    methods = Methods(configs if isinstance(configs, Sequence) else [configs], model, layers_in, record)
    engine = Engine(model, layers_in, methods, branches, statistics)
    return Attached(model, engine, [*calibration.uncovered.items(), *methods.uncovered])


def dito_interval(model: nn.Module, config: DiToConfig, calibration: Calibration, run: Callable[[], object],
                  layers: Iterable[str] = ("*",)) -> int:
    """DiTo's interval by the pair match ratio: the largest up to which tables of an unreduced run match again.

    `run` samples one video; every one of its steps is matched, without penalty. Raises `VidaError` as `apply` does.
    """
    every = config.model_copy(update={"interval": 1, "weight": 0})
    with apply(model, every, calibration, layers=layers, statistics=False) as attached:
        run()
        operators = list(attached.engine.operators.values())
    features = [only.feature for one in operators for only in one.features if isinstance(only, Only)]
    tables = [feature.history for feature in features if isinstance(feature, PartsDiTo)]
    history = [[table for one in tables for table in one[step]] for step in sorted(tables[0])]
    return interval(history, config.match_ratio, config.ratio)


def _check_model(model: nn.Module, calibration: Calibration, keys: set[str]) -> None:
    modules = dict(model.named_modules())
    for key in sorted(keys):
        name = key.partition("#")[0]
        found = modules.get(name)
        facts = calibration.linears.get(key)
        if found is None or facts is not None and getattr(found, "in_features", None) != facts.shape[-1]:
            raise VidaError(f"layer '{name}' of the calibration is not in this {type(model).__name__}: "
                            "calibrate it anew")
    for other in _ACTIVE.get(model, []):
        if taken := keys & other.engine.keys:
            raise VidaError(f"layer '{min(taken)}' is computed by another apply(): remove() that first, or name other "
                            "layers")
