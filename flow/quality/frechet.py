# SPDX-License-Identifier: Apache-2.0
"""Frechet distances of the default settings, measured beforehand: `python -m flow.quality.frechet` measures them again.

A distance needs many videos: 24 of three networks by nine settings take minutes, which the main job does not have. The
runs are those of `vida quality`, kept where it keeps them. Beside each distance stands a digest of the setting's first
video, bit for bit: a law, setting or network that changed gives another one, and the distance is stale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from flow.quality.runs import Order
from flow.quality.runs import measure as run_all
from hw.workspace import read_toml
from model import frechet
from model.approximate.settings import DEFAULTS

FILE = Path(__file__).with_suffix(".toml")
COMMAND = "python -m flow.quality.frechet"
NETWORKS = ("tiny", "small", "full")
STEPS = 20
VIDEOS = 24


@dataclass(frozen=True)
class Distances:
    """Of one network's settings, "dense" among them.

    Members
    -------
    videos, steps : of every setting's runs
    floor, spread : mean and standard deviation of the distance that as many videos of the source have to it, 8 draws
    to_source : setting -> distance of its videos to the training source
    first : setting -> `fingerprint` of its first video
    """

    videos: int
    steps: int
    floor: float
    spread: float
    to_source: Mapping[str, float]
    first: Mapping[str, str]

    @property
    def source(self) -> str:
        """What a summary says of them."""
        return (f"{self.steps} steps, {self.videos} videos, measured beforehand by {COMMAND}; as many videos of the "
                f"training source itself have {self.floor:.2f} +- {self.spread:.2f}")

    def stale(self, first: Mapping[str, torch.Tensor]) -> list[str]:
        """Settings whose first videos (F, [C,] H, W), of as many steps, are not those that were measured."""
        return [name for name, video in first.items() if self.first.get(name) != fingerprint(video)]


def fingerprint(video: torch.Tensor) -> str:
    """Digest of a sampled video's int16 places; the same on any machine."""
    return hashlib.sha256(video.numpy().astype("<i2").tobytes()).hexdigest()[:16]


def kept_distances(network: str) -> Distances:
    """As they were measured."""
    return Distances(**read_toml(FILE, "Frechet distances")[network])


def _measured(network: str) -> list[str]:
    """Lines of the file."""
    runs, rows = run_all(Order(network, tuple(DEFAULTS.values()), (STEPS,), VIDEOS), Console())
    floor, spread = frechet.floor(network, VIDEOS)
    first = {row["setting"]: fingerprint(runs.videos(row["setting"], STEPS)[0]) for row in rows}
    return ["", f"[{network}]", f"videos = {VIDEOS}", f"steps = {STEPS}", f"floor = {floor:.3f}",
            f"spread = {spread:.3f}", "", f"[{network}.to_source]",
            *(f'"{row["setting"]}" = {row["frechet"]:.3f}' for row in rows), "", f"[{network}.first]",
            *(f'"{name}" = "{digest}"' for name, digest in first.items())]


def measure() -> None:
    """Sample what is not kept yet, and write the file."""
    lines = [f"# Frechet distances to the training source; written by `{COMMAND}`."]
    for network in NETWORKS:
        lines += _measured(network)
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    measure()
