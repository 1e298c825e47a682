# SPDX-License-Identifier: Apache-2.0
"""A sampling run foreseen: steps computed by the law, watched for their operands, and predicted for any memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from host.driver import LawMachine, Sampler
from host.durations import Watch
from host.predict import Prediction, predict
from host.program import Lowered
from model.exact.step import denoise
from model.methods import method


@dataclass(frozen=True)
class Foreseen:
    """A whole run.

    Members
    -------
    cycles : of all steps together
    operators : operator -> unit -> cycles in which the oldest instruction of the unit was the operator's
    """

    cycles: float
    operators: dict[str, dict[str, float]]


class Foresight:
    """The operands' part of a prediction: found once, used at any bandwidth.

    Parameters
    ----------
    lowered : what is run
    steps : of the whole run, as in the network's modulation
    wanted : numbers of the steps to be predicted
    label : class, and which of the network's starting noises
    every : of each product only every n-th panel is walked by the law, the others take its mean

    Members
    -------
    tiles : step -> index of a MATMUL -> cycles that the array issues each of its panels
    """

    def __init__(self, lowered: Lowered, steps: int, wanted: Collection[int], label: int = 0, every: int = 1) -> None:
        self.lowered, self.steps = lowered, steps
        self.tiles: dict[int, dict[int, np.ndarray]] = {}
        network, config = lowered.network, lowered.config
        machine = LawMachine(config, lowered.image.size)
        sampler, law, video, before = Sampler(lowered, machine), method(lowered.method), network.noise[label], None
        for step in range(max(wanted) + 1):
            if step in wanted:
                watch = Watch(config, every)
                if before is not None and step - 1 not in wanted and lowered.image.fresh:
                    # What a step carries to the next is of that step alone.
                    sampler.begin()
                    sampler.step(before, label, step - 1, steps)
                machine.executor.watch = watch
                sampler.step(video, label, step, steps)
                machine.executor.watch = None
                self.tiles[step] = watch.tiles
            before, video = video, denoise(network, video, label, step, steps, law)

    def step(self, step: int, bandwidth: float | None = None, latency: int = 30) -> Prediction:
        """One of the wanted steps: see `host.predict.predict`."""
        return predict(self.lowered.step.instructions, self.lowered.config, self.tiles[step], bandwidth, latency)

    def run(self, bandwidth: float | None = None, latency: int = 30) -> Foreseen:
        """All steps: between the wanted ones they are interpolated, before and after these taken as the nearest."""
        wanted = sorted(self.tiles)
        weights = np.array([np.interp(np.arange(self.steps), wanted, row).sum() for row in np.eye(len(wanted))])
        found = [self.step(step, bandwidth, latency) for step in wanted]
        operators: dict[str, dict[str, float]] = {}
        for weight, prediction in zip(weights, found):
            for name, units in prediction.operators(self.lowered.step.instructions, self.lowered.operators).items():
                sums = operators.setdefault(name, {})
                for unit, cycles in units.items():
                    sums[unit] = sums.get(unit, 0.0) + weight * cycles
        return Foreseen(float(weights @ [prediction.cycles for prediction in found]), operators)
