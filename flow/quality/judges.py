# SPDX-License-Identifier: Apache-2.0
"""Figures of published networks beside those of `vida quality`, where the user gave their files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from flow.quality.runs import Runs
from model.frechet import frechet, source_videos
from model.networks import preset
from model.published import CLIP, I3D

#: Videos of the training source that FVD is taken to.
REFERENCE = 256


@dataclass(frozen=True)
class Judges:
    """FVD and CLIPSIM of kept runs; both files are opened before anything runs, or the user is told what is wrong."""

    i3d: I3D | None = None
    clip: CLIP | None = None

    @classmethod
    def open(cls, i3d: Path | None, clip: Path | None) -> Judges:
        """From the files that were given; raises VidaError where one cannot be read."""
        return cls(None if i3d is None else I3D(i3d), None if clip is None else CLIP(clip))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the figures that `judge` gives."""
        given = {"FVD": self.i3d, "CLIPSIM": self.clip}
        return tuple(name for name, network in given.items() if network is not None)

    @cached_property
    def _references(self) -> dict[str, Tensor]:
        return {}

    def judge(self, runs: Runs, row: dict[str, Any]) -> dict[str, float]:
        """The figures of one row's videos."""
        videos, name, found = runs.pixels(runs.videos(row["setting"], row["steps"])), row["network"], {}
        if self.i3d is not None:
            if name not in self._references:
                self._references[name] = self.i3d.features(source_videos(preset(name), REFERENCE, 10))
            found["FVD"] = frechet(self.i3d.features(videos), self._references[name])
        if self.clip is not None:
            labels = [place % preset(name).classes for place in range(len(videos))]
            found["CLIPSIM"] = self.clip.similarity(videos, labels)
        return found
