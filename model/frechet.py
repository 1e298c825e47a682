# SPDX-License-Identifier: Apache-2.0
"""Frechet distance between sets of videos, in the features of a small network trained here.

As the Frechet video distance (Unterthiner et al., "Towards Accurate Generative Models of Video", 2018) with features
of our own instead of I3D's: figures compare sets measured here and nothing else. `python -m model.frechet` trains it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from hw.errors import VidaError
from hw.workspace import check_writable
from model import checkpoints
from model.command import run
from model.networks import NetworkConfig
from model.networks import preset as network_preset
from model.video import MOTIONS, batch, draw

#: Numbers that a video becomes.
FEATURES = 16
#: What a video is resampled to: frames, height, width.
SHAPE = (8, 32, 32)
PATH = checkpoints.WEIGHTS / "frechet.safetensors"
#: Videos of the training source whose features are the reference.
REFERENCE = 2048
_BRIGHT = 0.1
_NOISE = 0.4


class FeatureNetwork(nn.Module):
    """Videos (N, F, H, W) to features (N, 16): means and deviations of three layers, through a linear one.

    Places and times enter as channels, since means forget them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Conv3d(4, 16, 3, stride=(1, 2, 2), padding=1),
            nn.Conv3d(16, 24, 3, stride=2, padding=1),
            nn.Conv3d(24, 48, 3, stride=2, padding=1),
        ])
        self.features = nn.Linear(2 * (16 + 24 + 48), FEATURES)
        self.heads = nn.Linear(FEATURES, len(MOTIONS) + 7)
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("whiten", torch.eye(FEATURES))

    def forward(self, videos: Tensor) -> Tensor:
        """Features (N, 16), whitened over what was trained on: every direction counts alike."""
        return (self.raw(videos) - self.mean) @ self.whiten

    def raw(self, videos: Tensor) -> Tensor:
        """Features as trained, before the non-linearity that `guess` applies."""
        x = functional.interpolate(videos[:, None], SHAPE, mode="trilinear", align_corners=False)
        axes = torch.meshgrid(*(torch.linspace(-1, 1, length) for length in SHAPE), indexing="ij")
        places = torch.stack(axes).expand(len(x), -1, -1, -1, -1)
        x, seen = torch.cat([x, places], 1), []
        for layer in self.layers:
            x = functional.silu(layer(x))
            seen += [x.mean((2, 3, 4)), x.var((2, 3, 4)).add(1e-6).sqrt()]
        return self.features(torch.cat(seen, 1))

    def guess(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the motions (N, 6), and the numbers of `describe` with the noise's deviation (N, 7)."""
        out = self.heads(functional.silu(features))
        return out[:, : len(MOTIONS)], out[:, len(MOTIONS) :]


def describe(videos: Tensor) -> Tensor:
    """Of clean videos (N, F, H, W): centre of what is bright in the first and the last frame, its area and how
    that varies, (N, 6) in shares of a frame."""
    bright = (videos > _BRIGHT).float()
    area = bright.mean((2, 3))
    ends = bright[:, [0, -1]] / bright[:, [0, -1]].sum((2, 3), keepdim=True).clamp(min=1)
    axis = torch.linspace(-1, 1, videos.shape[-1])
    centre = torch.stack([(ends.sum(2) * axis).sum(-1), (ends.sum(3) * axis).sum(-1)], -1).flatten(1)
    return torch.cat([centre, 5 * area.mean(1, keepdim=True), 20 * area.std(1, keepdim=True)], 1)


def train(steps: int, count: int, seed: int, config: NetworkConfig) -> tuple[FeatureNetwork, float]:
    """Train on motion, on `describe` and on how strong the added noise is; also the accuracy on new videos."""

    def noised(videos: Tensor) -> tuple[Tensor, Tensor]:
        level = torch.rand(len(videos), 1, 1, 1)
        return videos + _NOISE * level * torch.randn_like(videos), level.flatten(1)

    torch.manual_seed(seed)
    network = FeatureNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for step in range(steps):
        videos, label = batch(config, count, seed * 1_000_000 + step)
        mixed, level = noised(videos)
        scores, numbers = network.guess(network.raw(mixed))
        places = functional.mse_loss(numbers[:, :-1], describe(videos))
        loss = functional.cross_entropy(scores, label) + 4 * places
        loss = loss + 20 * functional.mse_loss(numbers[:, -1:], level)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    videos, label = batch(config, 512, seed + 999_999_999)
    with torch.no_grad():
        right = network.guess(network.raw(videos))[0].argmax(1) == label
        found = network.raw(noised(videos)[0])
        values, vectors = torch.linalg.eigh(torch.cov(found.t()))
        network.mean.copy_(found.mean(0))
        network.whiten.copy_(vectors / values.clamp(min=1e-6).sqrt())
    return network.eval(), right.float().mean().item()


@cache
def load() -> FeatureNetwork:
    """The committed feature network; raises `VidaError` where its file cannot be read."""
    tensors, _ = checkpoints.read(PATH)
    network = FeatureNetwork()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise VidaError(f"{PATH} does not hold this feature network: {error}") from error
    return network.eval()


@torch.no_grad()
def features(videos: Tensor) -> Tensor:
    """Features (N, 16) float64 of videos (N, F, H, W), pixels nominally -1..1."""
    network = load()
    return torch.cat([network(part) for part in videos.float().split(64)]).double()


def frechet(first: Tensor, second: Tensor) -> float:
    """Squared Frechet distance of the normal distributions fitted to features (N, d) and (M, d).

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2), square roots by eigendecomposition. Raises `VidaError` for
    fewer than two videos. With few videos it is biased upwards: compare sets of as many, see `floor`.
    """
    if min(len(first), len(second)) < 2:
        raise VidaError(f"Frechet distance of {len(first)} and {len(second)} videos: at least 2 of each needed")
    mean = (first.mean(0) - second.mean(0)).square().sum()
    left, right = (torch.cov(x.t()) for x in (first, second))
    values, vectors = torch.linalg.eigh(left)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.t()
    cross = torch.linalg.eigvalsh(root @ right @ root).clamp(min=0).sqrt().sum()
    return max(0.0, (mean + left.trace() + right.trace() - 2 * cross).item())


def source_videos(config: NetworkConfig, count: int, seed: int) -> Tensor:
    """Videos (N, F, H, W) of the training source, its classes in turn."""
    return draw(torch.arange(count) % config.classes, config, torch.Generator().manual_seed(seed))


@cache
def reference(name: str) -> Tensor:
    """Features of `REFERENCE` videos of the source that network `name` was trained on."""
    return features(source_videos(network_preset(name), REFERENCE, 10))


def to_source(name: str, videos: Tensor) -> float:
    """Frechet distance of a network's videos (N, F, H, W) to its training source."""
    return frechet(features(videos), reference(name))


def floor(name: str, count: int, draws: int = 8) -> tuple[float, float]:
    """Mean and standard deviation of the distance that `count` videos of the source itself have to it."""
    config = network_preset(name)
    found = torch.tensor([to_source(name, source_videos(config, count, 20 + draw)) for draw in range(draws)])
    return found.mean().item(), found.std().item()


def main(
    steps: Annotated[int, typer.Option(min=1, help="optimiser steps")] = 400,
    count: Annotated[int, typer.Option("--batch", min=1, help="videos a step")] = 32,
    seed: Annotated[int, typer.Option(help="seed of weights and data")] = 0,
    output: Annotated[Path, typer.Option(help="file to write")] = PATH,
) -> None:
    """Train the feature network and write its checkpoint."""
    check_writable(output.parent)
    torch.set_num_threads(1)
    network, accuracy = train(steps, count, seed, network_preset("small"))
    command = f"python -m model.frechet --steps {steps} --batch {count} --seed {seed}"
    checkpoints.write(output, dict(network.state_dict()), {"command": command, "accuracy": round(accuracy, 4)})
    print(f"accuracy {accuracy:.3f} -> {output}")


if __name__ == "__main__":
    run(main)
