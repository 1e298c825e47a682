# SPDX-License-Identifier: Apache-2.0
"""Capture golden vectors while a network samples: `python -m model.capture`.

The committed set keeps windows (16 queries of an attention, 32 columns of a linear operator) to stay
below 2 MB; `--full` writes whole operators of every kind, at several run lengths, to build/vectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer

from model import vectors
from model.command import run
from model.exact.network import QuantisedNetwork
from model.exact.operators import Job, Operators
from model.exact.step import denoise
from model.methods import Ditto, Vida
from model.quantise import load_quantised
from model.sample import STEP_CHOICES, STEPS
from model.vectors import Entry

#: The method whose sampling run supplies each reference.
_RUNS = {"none": Operators, "timestep": Ditto, "frame": Vida}
_ATTENTION = ("scores", "values")


@dataclass(frozen=True)
class Selection:
    """Which jobs of a sampling run to keep, and which window of each.

    Parameters
    ----------
    references, kinds, layers, steps, frames : a job must be in all; the frame of a temporal attention is a
        token
    queries : queries kept of an attention; the window moves with the frame
    columns : result columns kept of a linear operator; all when None
    rows : result rows kept of a linear operator; all when None
    """

    references: tuple[str, ...]
    kinds: tuple[str, ...]
    layers: tuple[int, ...]
    steps: tuple[int, ...]
    frames: tuple[int, ...]
    queries: int | None = None
    columns: int | None = None
    rows: int | None = None

    def wants(self, job: Job) -> bool:
        """Whether the job is of a selected operator and step; exact frames of a frame method are left out."""
        chosen = job.site.kind in self.kinds and job.site.layer in self.layers and job.step in self.steps
        if not chosen or job.reference_kind not in self.references:
            return False
        whole = job.reference_kind == "frame" and job.product == "single" and job.site.kind in _ATTENTION
        return not whole


def window(job: Job, frame: int, selection: Selection) -> tuple[slice, slice]:
    """Rows and columns of the result that are kept; queries are columns of a transposed product."""
    if job.site.kind not in _ATTENTION:
        return slice(selection.rows), slice(selection.columns)
    if selection.queries is None:
        return slice(None), slice(None)
    turned = job.product in ("second", "one")
    tokens = job.right.shape[-1] if turned else job.current.shape[-2]
    first = frame * selection.queries % max(1, tokens - selection.queries + 1) // 4 * 4
    queries = slice(first, first + selection.queries)
    return (slice(None), queries) if turned else (queries, slice(None))


def cut(job: Job, item: int, selection: Selection, network: str, steps: int) -> Entry:
    """One matrix product of a job, cut to the selection's window; `item` indexes the job's leading axis."""
    site, frame = job.site, job.start + item
    # Heads take turns over the frames, so that every head is seen.
    head = frame % job.current.shape[1] if site.kind in _ATTENTION else -1
    place = (item,) if head < 0 else (item, head)
    rows, columns = window(job, frame, selection)
    right = job.right if job.right.dim() == 2 else job.right[place]
    where = f"l{site.layer}.n{steps}.s{job.step}.f{frame}"
    return Entry(
        name=f"{site.kind}.{where}.{job.reference_kind}.{job.product}",
        network=network,
        kind=site.kind,
        layer=site.layer,
        block=site.block,
        steps=steps,
        step=job.step,
        frame=frame,
        head=head,
        reference_kind=job.reference_kind,
        product=job.product,
        current=job.current[place][rows],
        reference=job.reference[place][rows],
        right=right[:, columns],
        init=job.init[place][rows, columns],
        result=job.result[place][rows, columns],
    )


def capture(
    network: QuantisedNetwork, name: str, selections: Iterable[Selection], steps: int = STEPS, video: int = 0
) -> list[Entry]:
    """Entries of all selections from one sampling run per reference, no further than the last step selected.

    A name occurs once: where selections overlap the first one's window counts.
    """
    selections, entries = list(selections), {}

    def record(job: Job) -> None:
        for selection in selections:
            if not selection.wants(job):
                continue
            for item in range(len(job.current)):
                if job.start + item in selection.frames:
                    entry = cut(job, item, selection, name, steps)
                    entries.setdefault(entry.name, entry)

    for reference, kind in _RUNS.items():
        wanted = [selection for selection in selections if reference in selection.references]
        operators, state = kind(record), network.noise[video]
        for step in range(1 + max((s for selection in wanted for s in selection.steps), default=-1)):
            state = denoise(network, state, int(network.label[video]), step, steps, operators)
    return list(entries.values())


def golden_selections(only_steps: tuple[int, ...] = (5, 25, 45)) -> list[Selection]:
    """What the committed set holds of `small`; fewer steps give the entries of those steps alone."""
    spatial, middle = (0, 2), tuple(step for step in only_steps if step == 5)
    every = ("none", "timestep", "frame")
    return [
        Selection(("timestep", "frame"), _ATTENTION, spatial, only_steps, (1, 3, 5, 7), queries=16),
        Selection(("none",), _ATTENTION, (0,), middle, (1,), queries=16),
        Selection(every, ("qkv", "fc1"), (2,), middle, (3,), columns=32),
        Selection(every, ("fc2",), (2,), middle, (3,), columns=32, rows=16),
    ]


def full_selections(network: QuantisedNetwork, steps: int) -> list[Selection]:
    """Whole operators of every kind in two blocks, at an early, a middle and a late step."""
    places = tuple(sorted({max(1, steps // 10), steps // 2, steps - max(1, steps // 10)}))
    kinds = ("qkv", *_ATTENTION, "out", "fc1", "fc2")
    layers = (0, len(network.blocks) - 1)
    return [Selection(tuple(_RUNS), kinds, layers, places, (3,))]


def main(
    preset: Annotated[str, typer.Option(help="network to capture")] = "small",
    full: Annotated[bool, typer.Option(help="write whole operators to build/vectors instead")] = False,
    folder: Annotated[Path, typer.Option(help="where --full writes")] = Path("build/vectors"),
) -> None:
    """Regenerate the committed golden vectors, or the larger set."""
    torch.set_num_threads(1)
    network = load_quantised(preset)[0]
    command = f"python -m model.capture --preset {preset}" + (" --full" if full else "")
    if not full:
        entries = capture(network, preset, golden_selections())
        stem = vectors.GOLDEN
    else:
        sets = [capture(network, preset, full_selections(network, n), n) for n in STEP_CHOICES]
        entries = [entry for part in sets for entry in part]
        stem = folder / f"{preset}_full"
    vectors.write(stem, entries, command)
    size = stem.with_suffix(".safetensors").stat().st_size
    print(f"{len(entries)} entries, {size / 1e6:.2f} MB, sha256 {vectors.digest(entries)[:16]} -> {stem}")


if __name__ == "__main__":
    run(main)
