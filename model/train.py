# SPDX-License-Identifier: Apache-2.0
"""Train a preset on procedural video with rectified flow: `python -m model.train --preset small --steps N`.

Rectified flow (Liu et al., "Flow Straight and Fast", 2022): x_t = (1 - t) noise + t data, the network
predicts the velocity data - noise, the loss is its mean squared error with t drawn logit-normally. Matrices
of the blocks are trained by Muon, the rest by AdamW. The learning rate is constant and falls linearly to
zero over the last part of the run, so a run interrupted in its constant part and resumed with another
`--steps` equals one begun that way.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from hw.errors import VidaError
from hw.workspace import check_writable
from model import checkpoints
from model.autoencoder import clips
from model.command import run
from model.networks import preset
from model.transformer import VideoTransformer
from model.video import draw_noise

WARM_UP = 100
DECAY = 0.3  # part of the run over which the learning rate falls to zero
EMA = 0.999


def rate(step: int, steps: int) -> float:
    """Factor on the learning rates at `step` of `steps`."""
    return min((step + 1) / WARM_UP, 1.0, (steps - step) / (DECAY * steps))


def optimisers(network: VideoTransformer, scale: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for everything else."""
    matrices = [p for name, p in network.named_parameters() if name.startswith("blocks") and p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=0.01 * scale, weight_decay=0.01),
        torch.optim.AdamW(others, lr=0.002 * scale, betas=(0.9, 0.99), weight_decay=0.0),
    ]


def flow_loss(network: nn.Module, count: int, seed: int) -> Tensor:
    """Mean squared velocity error over a batch of `count` videos drawn from `seed`."""
    video, label = clips(network.config, count, seed)
    generator = torch.Generator().manual_seed(seed + (1 << 40))
    noise = draw_noise(network.config, count, generator)
    t = torch.sigmoid(torch.randn(count, generator=generator))
    mixed = torch.lerp(noise, video, t.reshape(-1, *[1] * (video.dim() - 1)))
    with torch.autocast("cpu", torch.bfloat16):
        velocity = network(mixed, t, label)
    return (velocity.float() - (video - noise)).square().mean()


class Run:
    """State of one training run: network, its moving average, optimisers, position; resumes exactly."""

    def __init__(self, name: str, seed: int, scale: float, folder: Path) -> None:
        torch.manual_seed(seed)
        self.name, self.seed, self.folder = name, seed, folder
        self.network = VideoTransformer(preset(name))
        self.average = VideoTransformer(preset(name)).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.optimisers = optimisers(self.network, scale)
        self.bases = [group["lr"] for optimiser in self.optimisers for group in optimiser.param_groups]
        self.step, self.loss, self.seconds = 0, math.nan, 0.0

    def begin_with(self, preset: str) -> None:
        """Take the trained weights of another preset; raises `VidaError` where its tensors have other shapes."""
        other = checkpoints.load_network(preset)[0].state_dict()
        shapes, mine = ({name: tuple(x.shape) for name, x in s.items()} for s in (other, self.network.state_dict()))
        if shapes != mine:
            raise VidaError(f"{self.name} cannot begin with the weights of {preset}: its tensors have other shapes")
        self.network.load_state_dict(other)
        self.average.load_state_dict(other)

    def advance(self, steps: int, count: int) -> None:
        """Take one optimiser step of a run of `steps` steps."""
        start = time.monotonic()
        loss = flow_loss(self.network, count, self.seed * 10_000_000 + self.step)
        loss.backward()
        for optimiser, base in zip(self.optimisers, self.bases, strict=True):
            optimiser.param_groups[0]["lr"] = base * rate(self.step, steps)
            optimiser.step()
            optimiser.zero_grad()
        keep = min(EMA, (1 + self.step) / (10 + self.step))
        for mean, parameter in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 - keep)
        self.loss = loss.item() if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * loss.item()
        self.step += 1
        self.seconds += time.monotonic() - start

    def save(self, command: str, path: Path) -> None:
        """Write the state to resume from and the averaged network."""
        state = {"network": self.network.state_dict(), "average": self.average.state_dict()}
        state |= {"optimisers": [o.state_dict() for o in self.optimisers], "seed": self.seed}
        state |= {"step": self.step, "loss": self.loss, "seconds": self.seconds}
        checkpoints.save_state(self.folder / f"{self.name}.pt", state)
        facts = {
            "command": command,
            "steps": self.step,
            "loss": round(self.loss, 5),
            "seconds": round(self.seconds),
        }
        checkpoints.save_network(path, self.average, facts)

    def resume(self) -> None:
        """Continue from the state in the run's folder, if there is one."""
        path = self.folder / f"{self.name}.pt"
        if not path.exists():
            return
        state = checkpoints.load_state(path)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.loss, self.seconds, self.seed = (state[k] for k in ("step", "loss", "seconds", "seed"))


def main(
    preset: Annotated[str, typer.Option(help="which network")],
    steps: Annotated[int, typer.Option(min=1, help="optimiser steps of the whole run")],
    count: Annotated[int, typer.Option("--batch", min=1, help="videos a step")] = 16,
    seed: Annotated[int, typer.Option(help="seed of weights and data")] = 0,
    lr: Annotated[float, typer.Option(help="factor on the learning rates")] = 1.0,
    start: Annotated[str | None, typer.Option(help="preset whose trained weights to begin with")] = None,
    folder: Annotated[Path, typer.Option(help="where the run is kept")] = Path("build/train"),
    output: Annotated[Path, typer.Option(help="where the averaged network lands at the end")] = checkpoints.WEIGHTS,
) -> None:
    """Train one preset; run again to resume."""
    check_writable(output)
    torch.set_num_threads(1)
    command = f"python -m model.train --preset {preset} --steps {steps} --batch {count} --seed {seed} --lr {lr}"
    command += f" --start {start}" if start else ""
    training = Run(preset, seed, lr, folder)
    if start:
        training.begin_with(start)
    training.resume()
    path, saved = folder / f"{preset}.safetensors", time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task(preset, total=steps, completed=training.step)
        while training.step < steps:
            training.advance(steps, count)
            progress.update(bar, advance=1, description=f"{preset}: loss {training.loss:.4f}")
            if time.monotonic() - saved > 60:
                training.save(command, path)
                saved = time.monotonic()
                pace = training.step * count / training.seconds
                progress.console.print(f"step {training.step}/{steps} loss {training.loss:.4f} {pace:.0f} videos/s")
    training.save(command, path)
    target = output / path.name
    checkpoints.publish(path, target)
    print(f"{preset}: loss {training.loss:.4f} after {training.step} steps, {training.seconds:.0f} s -> {target}")


if __name__ == "__main__":
    run(main)
