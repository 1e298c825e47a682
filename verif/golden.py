# SPDX-License-Identifier: Apache-2.0
"""Golden vectors through the hardware: every captured product played into a group, compared with its result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hw.config import TILE, Lane, MachineConfig
from hw.errors import VidaError
from model.vectors import Entry
from verif.outcome import Outcome, described
from verif.player import Player, build_player
from verif.stimulus import ACCUMULATORS, Product, stimulus

#: Thresholds and stalls in turn, so that vectors meet every split of the lanes.
THRESHOLDS = (1, 2, 3, 0, 4)
STALLS = (0.0, 0.25, 0.0, 0.5)


def products(entry: Entry, config: MachineConfig, threshold: int) -> list[Product]:
    """One captured product as the array computes it, K in chunks of the right store.

    A chunk after the first starts from the accumulators that the law gives for those before, as a tile init.
    A native group has no encoder: the difference itself goes in where it fits int8, else the product is left out.
    """
    current, reference = entry.current.numpy(), entry.reference.numpy()
    if config.lane is Lane.NATIVE:
        current, reference = current - reference, np.zeros_like(reference)
        if np.abs(current).max() > 127:
            return []
    right, init = entry.right.numpy(), entry.init.numpy()
    chunks = []
    for start in range(0, current.shape[1], config.right_rows):
        part = slice(start, start + config.right_rows)
        result = init + (current[:, part] - reference[:, part]) @ right[part]
        chunks.append(Product(current[:, part], reference[:, part], right[part], init,
                              transposed=entry.product in ("second", "one"), emit=ACCUMULATORS, threshold=threshold,
                              result=result))
        init = result
    if not np.array_equal(init, entry.result.numpy()):
        raise VidaError(f"vector {entry.name}: its result is not init + (current - reference) @ right")
    return chunks


def golden(config: MachineConfig, entries: Sequence[Entry], seed: int = 1) -> Outcome:
    """Play every entry on the group of `config`, with random stalls on every other one.

    Raises VidaError where a run hangs or an entry contradicts itself.
    """
    player, outcome = build_player(config), Outcome(f"{config.name}, vectors", seed)
    for n, entry in enumerate(entries):
        work = products(entry, config, THRESHOLDS[n % len(THRESHOLDS)])
        if work:
            outcome.sets += 1
            _play(player, config, entry.name, work, outcome, STALLS[n % len(STALLS)], seed + n)
    return outcome


def _play(player: Player, config: MachineConfig, name: str, work: list[Product], outcome: Outcome,
          stall: float, seed: int) -> None:
    beats = stimulus(work, config, seed)
    played = player.play(beats.beats, beats.rows, stall=stall, seed=seed)
    got, want = played.accumulators["value"], beats.accumulators
    wrong = np.argwhere((got != want) & beats.in_range["accumulators"])
    outcome.tiles += beats.tiles
    outcome.cycles += played.simulated
    outcome.outputs += int(beats.in_range["accumulators"].sum())
    outcome.mismatches += len(wrong)
    if len(wrong) and not outcome.first:
        row, column = map(int, wrong[0])
        outcome.first = (f"{outcome.name} {name} tile {row // TILE} row {row % TILE} column {column}: "
                         + described(int(got[row, column]), int(want[row, column]), config.acc_bits))
