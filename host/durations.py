# SPDX-License-Identifier: Apache-2.0
"""How many cycles the array issues each panel of a MATMUL, from its operands, by the law of the allocation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from hw.config import TILE, Lane, MachineConfig
from hw.control.isa import Instruction, Opcode
from model.exact.encode.encoder import beats, panel
from model.exact.machine.matrix import tiles
from model.exact.route.allocation import Tile, lanes


def issue_cycles(current: torch.Tensor, reference: torch.Tensor, config: MachineConfig, skip: bool,
                 threshold: int, every: int = 1) -> np.ndarray:
    """Of every panel of four rows: cycles from the last op of the panel before to its own, in steady state.

    every : only each n-th panel is walked, the others take the mean
    """
    count = tiles(len(current), TILE)
    work = [Tile(beats(panel(current, n), panel(reference, n), config, skip), threshold)
            for n in range(0, count, every)]
    found = _walk([work[-1], *work], config)[1:]
    result = np.full(count, found.mean())
    result[::every] = found
    return result


def _walk(work: Sequence[Tile], config: MachineConfig) -> np.ndarray:
    """Cycles between the ends of successive tiles, no drain in the way."""
    issuing, ends, cycle = lanes(list(work), config), [], 0
    while issuing.tile < len(work):
        before, room, op = issuing.tile, issuing.room(), issuing.op()
        issuing.issue(op)
        issuing.receive(room)
        cycle += 1
        if issuing.tile != before:
            ends.append(cycle)
    return np.diff([0, *ends])


@cache
def _whole(k: int, threshold: int, config: MachineConfig) -> int:
    """Cycles of a panel of which every digit is issued."""
    zeros = torch.zeros(TILE, k, dtype=torch.int64)
    return int(issue_cycles(zeros, zeros, config, False, threshold)[0])


class Watch:
    """Takes the operands of every MATMUL as a law's machine computes it.

    Parameters
    ----------
    config : MachineConfig
    every : see `issue_cycles`

    Members
    -------
    tiles : index of the instruction -> issue cycles of its panels
    """

    def __init__(self, config: MachineConfig, every: int = 1) -> None:
        self.config, self.every = config, every
        self.tiles: dict[int, np.ndarray] = {}

    def __call__(self, index: int, item: Instruction, operands) -> None:
        """See `Executor`."""
        if item.opcode is not Opcode.MATMUL:
            return
        config = self.config
        panels = tiles(item["rows"], TILE)
        if config.lane is Lane.NATIVE:
            self.tiles[index] = np.full(panels, tiles(item["k"], config.depth))
        elif not item["skip"]:
            self.tiles[index] = np.full(panels, _whole(item["k"], item["threshold"], config))
        else:
            current, reference = (torch.from_numpy(part) for part in operands())
            self.tiles[index] = issue_cycles(current, reference, config, True, item["threshold"], self.every)
