# SPDX-License-Identifier: Apache-2.0
"""`make regress`: a million outputs over configurations that are no presets, at the simulator's own speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hw.config import TILE, MachineConfig, make_config
from verif.jobs import JobSet, arrays, job_sets
from verif.player import Player, build_player

#: Outputs that a whole regression compares at least.
OUTPUTS = 1_000_000
#: Chance of a rest in a cycle, in turn.
STALLS = (0.0, 0.3, 0.0, 0.7, 0.1)
_SHAPES: dict[str, dict[str, Any]] = {
    "balance_shadow": {"ccpes": 3, "allocation": "balance", "drain": "shadow", "right_rows": 48, "k_max": 1000},
    "threshold_deep": {"ccpes": 3, "depth": 2, "allocation": "threshold", "drain": "inplace", "scan": 4, "slots": 8,
                       "queue_depth": 5, "right_rows": 64, "k_max": 64},
    "balance_deep": {"ccpes": 1, "depth": 4, "allocation": "balance", "drain": "shadow", "scan": 8, "slots": 8,
                     "queue_depth": 3, "right_rows": 40, "k_max": 5000},
    "dense_only": {"ccpes": 3, "depth": 2, "allocation": "none", "drain": "shadow", "scan": 6, "slots": 4,
                   "right_rows": 100, "k_max": 65536},
    "narrow_scan": {"ccpes": 2, "allocation": "threshold", "drain": "shadow", "scan": 2, "slots": 2,
                    "queue_depth": 2, "right_rows": 24, "k_max": 100},
    "native_deep": {"ccpes": 3, "lane": "native", "depth": 4, "drain": "shadow", "scan": 4, "slots": 4,
                    "right_rows": 64, "k_max": 3000},
}


def configurations() -> list[MachineConfig]:
    """The machines of a regression; none is a preset."""
    return [make_config({"name": name, "pegs": 2, **fields}, name) for name, fields in _SHAPES.items()]


@dataclass
class Outcome:
    """What was compared on one machine; `first` describes the first mismatch, "" where there is none."""

    name: str
    seed: int
    sets: int = 0
    tiles: int = 0
    outputs: int = 0
    mismatches: int = 0
    cycles: int = 0
    first: str = ""

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.outputs > 0 and self.mismatches == 0


def compare(outcome: Outcome, work: JobSet, got: dict[str, dict[str, np.ndarray]]) -> None:
    """Count all values and headers of a run that differ from the law; keep the first with index, hex and value."""
    for stream, rows in (("accumulators", work.accumulators), ("int8", work.int8)):
        want, mine = arrays(rows), got[stream]
        for field, values in want.items():
            if mine[field].shape != values.shape:
                raise ValueError(f"{outcome.name}: {stream} {field} is {mine[field].shape}, law {values.shape}")
            wrong = np.argwhere(mine[field] != values)
            outcome.mismatches += len(wrong)
            if len(wrong) and not outcome.first:
                place = tuple(wrong[0])
                one, two, mask = int(mine[field][place]), int(values[place]), (1 << work.config.acc_bits) - 1
                outcome.first = (f"{outcome.name} seed {outcome.seed} set {outcome.sets} {stream} "
                                 f"tile {place[0] // TILE} row {place[0] % TILE} {field}{list(map(int, place[1:]))}: "
                                 f"got {one} (0x{one & mask:x}), law says {two} (0x{two & mask:x})")
    outcome.outputs += work.outputs


def sweep(config: MachineConfig, outputs: int, seed: int, slots: int = 60,
          progress: Callable[[Outcome], None] = lambda outcome: None) -> Outcome:
    """Random jobs on one machine until `outputs` values are compared; `progress` hears of every set.

    A set that hangs raises VidaError, with how far each stream came.
    """
    player, outcome = build_player(config), Outcome(config.name, seed)
    for work in job_sets(config, seed, slots, outputs):
        played = _play(player, work, STALLS[outcome.sets % len(STALLS)], seed + outcome.sets)
        compare(outcome, work, {"accumulators": played.accumulators, "int8": played.int8})
        outcome.sets, outcome.tiles = outcome.sets + 1, outcome.tiles + len(work.job)
        outcome.cycles += played.simulated
        progress(outcome)
        if outcome.outputs >= outputs or outcome.mismatches:
            break
    return outcome


def _play(player: Player, work: JobSet, stall: float, seed: int):
    beats = {stream: arrays(getattr(work, stream)) for stream in ("job", "left", "right", "init", "scale")}
    rows = {"accumulators": len(work.accumulators), "int8": len(work.int8)}
    return player.play(beats, rows, stall=stall, seed=seed)


def regress(seed: int, outputs: int = OUTPUTS, configs: Sequence[MachineConfig] = (),
            progress: Callable[[Outcome], None] = lambda outcome: None) -> list[Outcome]:
    """Share at least `outputs` values between the machines (default: `configurations()`)."""
    chosen = list(configs) or configurations()
    share = -(-outputs // len(chosen))
    return [sweep(config, share, seed, progress=progress) for config in chosen]
