# SPDX-License-Identifier: Apache-2.0
"""`make regress`: a million outputs and every captured vector over configurations that are no presets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hw.config import MachineConfig, make_config
from model import vectors
from verif.golden import golden
from verif.jobs import JobSet, arrays, job_sets
from verif.outcome import Outcome, compare
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
    "sparse_shared": {"ccpes": 3, "allocation": "sparse", "sparse_sum": "shared", "drain": "inplace", "scan": 2,
                      "slots": 2, "queue_depth": 5, "right_rows": 40, "k_max": 700, "requantise_cycles": 2},
    "balance_shared": {"ccpes": 2, "depth": 2, "allocation": "balance", "sparse_sum": "shared", "drain": "inplace",
                       "scan": 8, "slots": 4, "queue_depth": 3, "right_rows": 48, "k_max": 900},
    "merge_thin": {"ccpes": 2, "allocation": "merge", "drain": "inplace", "scan": 4, "slots": 8, "queue_depth": 9,
                   "right_rows": 50, "k_max": 600, "requantise_cycles": 3},
    "merge_deep": {"ccpes": 2, "depth": 4, "allocation": "merge", "buses": 4, "drain": "shadow", "scan": 16,
                   "slots": 16, "queue_depth": 4, "right_rows": 64, "k_max": 2000, "requantise_cycles": 4},
    "native_deep": {"ccpes": 3, "lane": "native", "depth": 4, "drain": "shadow", "scan": 4, "slots": 4,
                    "right_rows": 64, "k_max": 3000},
}


def configurations() -> list[MachineConfig]:
    """The machines of a regression; none is a preset."""
    return [make_config({"name": name, "pegs": 2, **fields}, name) for name, fields in _SHAPES.items()]


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
    """Share at least `outputs` values between the machines (default: `configurations()`), then play the captured
    vectors on each: an outcome a machine for either."""
    chosen = list(configs) or configurations()
    share = -(-outputs // len(chosen))
    outcomes = [sweep(config, share, seed, progress=progress) for config in chosen]
    entries = vectors.read()
    return outcomes + [golden(config, entries, seed) for config in chosen]
