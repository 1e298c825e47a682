# SPDX-License-Identifier: Apache-2.0
"""How alike a network's operands are, from step to step and frame to frame: `python -m model.statistics --preset full`.

Shares of differences that are zero, that one digit holds (-8..7, Ditto's 4 bits) and that need two, weighted by the
multiplications they take part in. Counted over dense int8 sampling runs, in the products of the blocks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import torch
import typer
from torch import Tensor

from model.command import run
from model.exact.operators import Job, Operators, Site
from model.exact.sparsity.ffn_reuse import quantile_threshold, value_mask
from model.methods import Ditto
from model.networks import CROSS, FULL, TEMPORAL
from model.quantise import load_quantised
from model.sample import STEPS, sample_integer

#: What an operand is compared with; "original" is nothing.
COMPARED = ("original", "timestep", "frame")
_OUTSIDE = ("embed", "head")
#: Thousandths of GELU's outputs that are recomputed when the mask's columns are counted.
KEPT_PERMILLE = 200
#: Rows that share a column of the mask.
TILE_ROWS = 16


@dataclass
class Similarity:
    """Counts of one or more sampling runs.

    Members
    -------
    counts : by (compared with, operator kind), differences times multiplications that are zero (0), of one digit (1),
        of more (2)
    mask : of GELU's outputs, by name: elements and columns, and how many of them are not recomputed
    """

    counts: dict[tuple[str, str], Counter[int]] = field(default_factory=dict)
    mask: Counter[str] = field(default_factory=Counter)

    def add(self, compared: str, kind: str, difference: Tensor, times: int) -> None:
        """Count the elements of `difference`, each multiplied `times` times."""
        zero = int((difference == 0).sum())
        small = int(((difference >= -8) & (difference <= 7)).sum())
        found = {0: zero * times, 1: (small - zero) * times, 2: (difference.numel() - small) * times}
        self.counts.setdefault((compared, kind), Counter()).update(found)

    def shares(self, compared: str, kind: str | None = None) -> list[float]:
        """Per cent zero, of one digit and of more, of all operators or of a kind; zeros where none was counted."""
        total = Counter()
        for (name, other), counts in self.counts.items():
            if name == compared and kind in (None, other):
                total.update(counts)
        whole = max(1, total.total())
        return [round(100 * total[size] / whole, 2) for size in range(3)]

    def add_mask(self, hidden: Tensor) -> None:
        """Count a mask of FFN-Reuse on GELU's output (rows, hidden)."""
        idle = ~value_mask(hidden, quantile_threshold(hidden, KEPT_PERMILLE))
        tiles = idle[: len(idle) // TILE_ROWS * TILE_ROWS].unflatten(0, (-1, TILE_ROWS)).all(1)
        for name, values in (("elements", idle), ("tile columns", tiles), ("columns", idle.all(0))):
            self.mask[name] += values.numel()
            self.mask[f"{name} idle"] += int(values.sum())

    def idle(self, name: str) -> float:
        """Per cent of "elements", "tile columns" or whole "columns" of the mask that are not recomputed."""
        return round(100 * self.mask[f"{name} idle"] / max(1, self.mask[name]), 2)


def frame_differences(job: Job) -> Iterator[tuple[Tensor, int]]:
    """Differences to the previous frame of a dense job's operands, and how often each of their elements is multiplied.

    Attention over frames, or over all of them at once, has none. Of spatial attention both operands count.
    """
    if job.site.kind in ("scores", "values") and job.site.block in (TEMPORAL, FULL):
        return
    yield job.current[1:] - job.current[:-1], job.right.shape[-1]
    if job.right.dim() > 2 and job.site.block != CROSS:
        yield job.right[1:] - job.right[:-1], job.current.shape[-2]


class _Watch:
    """Recorders of one dense and one Ditto run."""

    def __init__(self, found: Similarity) -> None:
        self.found = found

    def dense(self, job: Job) -> None:
        if job.site.kind in _OUTSIDE:
            return
        self.found.add("original", job.site.kind, job.current, job.right.shape[-1])
        for difference, times in frame_differences(job):
            self.found.add("frame", job.site.kind, difference, times)
        if job.site.kind == "fc2":
            self.found.add_mask(job.current.flatten(0, 1))

    def ditto(self, job: Job) -> None:
        if job.site.kind not in _OUTSIDE and job.step:
            self.found.add("timestep", job.site.kind, job.current - job.reference, job.right.shape[-1])


def similarity(preset: str, steps: int = STEPS, videos: int = 2) -> Similarity:
    """Counts over int8 sampling runs of the first `videos` committed starting points.

    The first timestep has none before it and is not counted against one; nor is frame 0 against a frame.
    """
    network, found = load_quantised(preset)[0], Similarity()
    watch = _Watch(found)
    for noise, label in zip(network.noise[:videos], network.label[:videos].tolist(), strict=True):
        for operators in (Operators(watch.dense), Ditto(watch.ditto)):
            sample_integer(network, noise, label, operators, steps)
    return found


def tail(preset: str, step: int = 25) -> dict[str, float]:
    """What 7-bit probabilities lose, by axis: half the sum over a row of |p / row sum - softmax|, mean of all rows.

    Softmax in float64 of the same integer scores, at one step of a 50-step run; per cent of a row's weight.
    """
    network, lost = load_quantised(preset)[0], {}
    scores: dict[Site, Tensor] = {}

    def watch(job: Job) -> None:
        if job.step == step and job.site.kind == "scores":
            scores[job.site] = job.result
        if job.step == step and job.site.kind == "values":
            constants = network.attention(job.site.layer, job.site.block).softmax
            place = constants.multipliers[0] / 2.0 ** (constants.shift + 10) * torch.log(torch.tensor(2.0)).double()
            real = torch.softmax(scores[Site("scores", job.site.layer, job.site.block)].double() * place, -1)
            p = job.current.double() / job.current.sum(-1, keepdim=True)
            lost.setdefault(job.site.block, []).append(50 * (p - real).abs().sum(-1).mean().item())

    sample_integer(network, network.noise[0], int(network.label[0]), Operators(watch))
    return {axis: round(sum(values) / len(values), 3) for axis, values in lost.items()}


def row(preset: str, found: Similarity) -> str:
    """A line of the table in docs/networks.md."""
    shares = [" / ".join(f"{share:.1f}" for share in found.shares(name)) for name in COMPARED]
    masks = [f"{found.idle(name):.1f}" for name in ("elements", "tile columns", "columns")]
    return "| " + " | ".join([f"`{preset}`", *shares, *masks]) + " |"


def main(
    preset: Annotated[str, typer.Option(help="which network")],
    steps: Annotated[int, typer.Option(help="50, 20 or 8")] = STEPS,
    videos: Annotated[int, typer.Option(help="videos to count in")] = 2,
    table: Annotated[bool, typer.Option(help="a row of a Markdown table instead of JSON")] = False,
) -> None:
    """Print shares (zero, one digit, more) by what operands are compared with and by operator kind."""
    torch.set_num_threads(1)
    found = similarity(preset, steps, videos)
    if table:
        print(row(preset, found))
        return
    kinds = sorted({kind for _, kind in found.counts})
    facts: dict[str, object] = {"network": preset, "steps": steps, "videos": videos}
    for name in COMPARED:
        facts[name] = {"all": found.shares(name)} | {kind: found.shares(name, kind) for kind in kinds}
    facts["gelu_not_recomputed"] = {name: found.idle(name) for name in ("elements", "tile columns", "columns")}
    facts["probability_loss"] = tail(preset)
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    run(main)
