# SPDX-License-Identifier: Apache-2.0
"""Latents in place of pixels: a small convolutional autoencoder of frames, `python -m model.autoencoder --steps N`.

As latent diffusion has it (Rombach et al., 2022), the network sees frames of fewer and denser values. Frames are
coded one by one, latents are normalised by channel, and noise on them in training makes the decoder bear a
network's errors. It runs in float, before training and after sampling: the integer law begins and ends at latents.
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from hw.errors import VidaError
from hw.workspace import check_writable
from model import checkpoints
from model.command import run
from model.networks import NetworkConfig, preset
from model.sample import to_float
from model.video import batch

#: Channels of a latent, which stands for `networks.LATENT_PIXELS`^2 pixels.
CHANNELS = 4
_WIDTH = 24
_NOISE = 0.1
_PATH = checkpoints.WEIGHTS / "autoencoder.safetensors"


class Autoencoder(nn.Module):
    """Frames of gray pixels to latents of a quarter of their side, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, _WIDTH, 4, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(_WIDTH, 2 * _WIDTH, 4, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(2 * _WIDTH, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS, affine=False),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(CHANNELS, 2 * _WIDTH, 3, padding=1), nn.GELU(),
            nn.ConvTranspose2d(2 * _WIDTH, _WIDTH, 4, stride=2, padding=1), nn.GELU(),
            nn.ConvTranspose2d(_WIDTH, 1, 4, stride=2, padding=1),
        )

    def encode(self, video: Tensor) -> Tensor:
        """Pixels (N, F, H, W), -1..1, to latents (N, F, C, H / 4, W / 4) of about unit variance."""
        return self.encoder(video.flatten(0, 1)[:, None]).unflatten(0, video.shape[:2])

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, F, C, h, w) to pixels (N, F, 4 h, 4 w)."""
        return self.decoder(latents.flatten(0, 1))[:, 0].unflatten(0, latents.shape[:2])


@cache
def load_autoencoder(path: Path = _PATH) -> Autoencoder:
    """The trained autoencoder; raises `VidaError` for an unreadable file or tensors of other shapes."""
    tensors, _ = checkpoints.read(path)
    network = Autoencoder()
    state = network.state_dict()
    for name in sorted(state.keys() | tensors.keys()):
        found, wanted = (tuple(x[name].shape) if name in x else "nothing" for x in (tensors, state))
        if found != wanted:
            raise VidaError(f"{path}: tensor '{name}' is {found}, expected {wanted}")
    network.load_state_dict({name: tensors[name].to(value.dtype) for name, value in state.items()})
    return network.eval().requires_grad_(False)


def clips(config: NetworkConfig, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`model.video.batch` in the values that a network of shape `config` sees: pixels or latents."""
    video, label = batch(config, count, seed)
    return (video if config.channels == 1 else load_autoencoder().encode(video)), label


def to_pixels(config: NetworkConfig, video: Tensor) -> Tensor:
    """Sampled videos (V, F, [C,] h, w), int16 or real, as real pixels (V, F, H, W), nominally -1..1."""
    real = video if video.is_floating_point() else to_float(video)
    return real if config.channels == 1 else load_autoencoder().decode(real)


def psnr(network: Autoencoder, video: Tensor) -> float:
    """Of what comes back from latents without noise, in dB of the range -1..1."""
    error = (network.decode(network.encode(video)) - video).square().mean()
    return (10 * torch.log10(4 / error)).item()


def main(
    steps: Annotated[int, typer.Option(min=1, help="optimiser steps")],
    count: Annotated[int, typer.Option("--batch", min=1, help="videos a step")] = 8,
    seed: Annotated[int, typer.Option(help="seed of weights and data")] = 0,
    output: Annotated[Path, typer.Option(help="where the autoencoder lands")] = _PATH,
) -> None:
    """Train the autoencoder on the frames of the preset `latent`."""
    check_writable(output.parent)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    network, config, start = Autoencoder(), preset("latent"), time.monotonic()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for step in range(steps):
        video, _ = batch(config, count, seed * 10_000_000 + step)
        latents = network.encode(video)
        loss = (network.decode(latents + _NOISE * torch.randn_like(latents)) - video).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1}/{steps} loss {loss.item():.5f}", flush=True)
    with torch.no_grad():
        quality = psnr(network.eval(), batch(config, 16, 1 << 45)[0])
    command = f"python -m model.autoencoder --steps {steps} --batch {count} --seed {seed}"
    facts = {"command": command, "psnr_db": round(quality, 2), "seconds": round(time.monotonic() - start)}
    tensors = {name: x.half() if x.is_floating_point() else x for name, x in network.state_dict().items()}
    checkpoints.write(output, tensors, facts)
    print(f"autoencoder: {quality:.1f} dB -> {output}")


if __name__ == "__main__":
    run(main)
