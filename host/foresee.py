# SPDX-License-Identifier: Apache-2.0
"""A sampling run by the law, watched, so that its programs' cycles can be predicted for any memory."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from host.driver import LawMachine, Sampler
from host.durations import Watch
from host.predict import Prediction, predict
from host.program import Lowered


class Foresight:
    """The operands' part of a prediction: found once, used at any bandwidth.

    Parameters
    ----------
    lowered : what is run; the law runs it from the first step to the last one of `wanted`
    steps : of the whole run, as in the network's modulation
    wanted : numbers of the steps to be predicted
    label : class, and which of the network's starting noises
    every : of each product only every n-th panel is walked by the law, the others take its mean

    Attributes
    ----------
    tiles : step -> index of a MATMUL -> cycles that the array issues each of its panels
    """

    def __init__(self, lowered: Lowered, steps: int, wanted: Collection[int], label: int = 0, every: int = 1) -> None:
        self.lowered = lowered
        self.tiles: dict[int, dict[int, np.ndarray]] = {}
        machine = LawMachine(lowered.config, lowered.image.size)
        sampler, video = Sampler(lowered, machine), lowered.network.noise[label]
        for step in range(max(wanted) + 1):
            watch = Watch(lowered.config, every)
            machine.executor.watch = watch if step in wanted else None
            video = sampler.step(video, label, step, steps)
            if step in wanted:
                self.tiles[step] = watch.tiles

    def predict(self, step: int, bandwidth: float | None = None, latency: int = 30) -> Prediction:
        """Of one of the wanted steps: see `host.predict.predict`."""
        return predict(self.lowered.step.instructions, self.lowered.config, self.tiles[step], bandwidth, latency)

    def cycles(self, steps: int, bandwidth: float | None = None, latency: int = 30) -> float:
        """Of a run of `steps` steps: those between the wanted ones are interpolated, those after the last as it."""
        wanted = sorted(self.tiles)
        found = [self.predict(step, bandwidth, latency).cycles for step in wanted]
        return float(np.interp(np.arange(steps), wanted, found).sum())
