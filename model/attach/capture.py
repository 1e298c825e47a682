# SPDX-License-Identifier: Apache-2.0
"""Operands of an attached model as entries of the project's vectors, windows of them."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from model.attach.sites import LayerSite
from model.exact.operators import Job
from model.vectors import Entry

#: The frame that is kept: the first that has one before it.
FRAME = 1


def _copy(window: Tensor) -> Tensor:
    """A window that does not hold on to the whole tensor."""
    return window.to(torch.int32)


class Capture:
    """A recorder: keeps one frame and one head of every product of the chosen timesteps.

    Parameters
    ----------
    network : name of the model
    steps : length of the run
    keep : timesteps that are kept
    rows, columns : at most so many of the result's, 0 for all
    """

    def __init__(self, network: str, steps: int, keep: Collection[int], rows: int = 64, columns: int = 64) -> None:
        self.network, self.steps, self.keep = network, steps, frozenset(keep)
        self.window = slice(rows or None), slice(columns or None)
        self.entries: dict[str, Entry] = {}

    def __call__(self, job: Job) -> None:
        """Keep a job, if it is of a chosen timestep and frame."""
        place = min(FRAME, len(job.current) - 1) if job.start == 0 and len(job.current) > 1 else 0
        if job.step not in self.keep or job.start + place > FRAME:
            return
        entry = self._entry(job, place)
        self.entries.setdefault(entry.name, entry)

    def _entry(self, job: Job, place: int) -> Entry:
        site = job.site
        assert isinstance(site, LayerSite)
        heads = job.current.dim() == 4
        item = (place, 0) if heads else (place,)
        rows, columns = self.window
        frame = job.start + place
        return Entry(
            name=f"{site.key}.{site.kind}.n{self.steps}.s{job.step}.f{frame}.{job.reference_kind}.{job.product}",
            network=self.network, kind=site.kind, layer=site.layer, block=site.block, steps=self.steps, step=job.step,
            frame=frame, head=0 if heads else -1, reference_kind=job.reference_kind, product=job.product,
            current=_copy(job.current[item][rows]), reference=_copy(job.reference[item][rows]),
            right=_copy((job.right[item] if job.right.dim() == 4 else job.right)[:, columns]),
            init=_copy(job.init[item][rows, columns]), result=_copy(job.result[item][rows, columns]),
        )
