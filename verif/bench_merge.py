# SPDX-License-Identifier: Apache-2.0
"""Bench of the merge unit: no digit lost or doubled, each beside its own right row, the law's ops without stalls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb

from hw.config import TILE, MachineConfig
from hw.route.merge import MergeUnit
from model.exact.encode.encoder import Segment
from verif.checks import Cover
from verif.harness import configuration, read_factor, run_block
from verif.issue import POINTS, IssueBench, play
from verif.simulator import BenchResult

COVER = Cover(*POINTS, "head shared over several cycles", "op with digits of several segments",
              "multiplier idle", "every multiplier busy")


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the merge unit of `config` and run all of this bench on it."""
    return run_block(MergeUnit, __name__, workdir, config, seed=seed, coverage=coverage, bench="merge")


@dataclass
class Issued:
    """What one tile's ops issued."""

    digits: Counter = field(default_factory=Counter)                        #: (k, plane, row, digit)
    cycles: dict[tuple, set[int]] = field(default_factory=dict)             #: (k, plane) -> its ops
    segments: int = 0
    counted: int = 0                                                        #: digits, as the op says


class Bench(IssueBench):
    """Reads every multiplier's digit and the bus that it chooses."""

    issued = Issued

    def _take(self, where: str, tile: Issued) -> int:
        config, cover = self.config, self.cover
        plane, taken = int(self.dut.op_plane.value), []
        for j in range(config.depth):
            select = int(getattr(self.dut, f"op_dense{j}_select").value)
            for row in range(TILE):
                bus = select >> row * config.buses & (1 << config.buses) - 1
                digit = read_factor(self.dut, f"op_dense{j}_left{row}", 2)
                self.checker.check(f"{where} multiplier {j} row {row} buses", bus & (bus - 1), 0)
                self.checker.check(f"{where} multiplier {j} row {row} without a bus", 0 if bus else digit, 0)
                if bus:
                    bank = (2 * j + bus.bit_length() - 1) % config.residues
                    taken.append((row, bank))
                    tile.digits[self.column(bank), plane, row, digit] += 1
                    tile.cycles.setdefault((self.column(bank), plane), set()).add(len(self.trace))
        self.checker.check(f"{where} a head's digit once an op", len(taken), len(set(taken)))
        self.checker.check(f"{where} digits of the op", int(self.dut.op_digits.value), len(taken))
        tile.segments += int(self.dut.op_segments.value)
        tile.counted += len(taken)
        cover.hit("op with digits of several segments", len({bank for _, bank in taken}) > 1)
        if config.depth > 1:
            cover.hit("row with several digits", len(taken) > len({row for row, _ in taken}))
        cover.hit("multiplier idle", taken and len(taken) < TILE * config.depth)
        cover.hit("every multiplier busy", len(taken) == TILE * config.depth)
        return 0

    def _compare(self, where: str, tile: Issued, segments: list[Segment], threshold: int) -> None:
        want = Counter((segment.k, segment.plane, row, segment.digits[row])
                       for segment in segments for row in range(TILE) if segment.rows >> row & 1)
        wrong = tile.digits - want, want - tile.digits
        self.checker.check(f"{where} doubled {list(wrong[0])[:1]} lost {list(wrong[1])[:1]}",
                           [sum(part.values()) for part in wrong], [0, 0])
        self.checker.check(f"{where} segments", tile.segments, len(segments))
        self.checker.check(f"{where} digits", tile.counted, sum(segment.count for segment in segments))
        lone = Counter((segment.k, segment.plane) for segment in segments)
        self.cover.hit("head shared over several cycles",
                       any(len(cycles) > 1 for key, cycles in tile.cycles.items() if lone[key] == 1))


@cocotb.test()
async def law_order(dut: Any) -> None:
    """Without stalls every op is the law's."""
    bench = Bench(dut, "law_order", {}, COVER)
    bench.compare_order(await play(bench, "law_order"))


@cocotb.test()
async def stalls(dut: Any) -> None:
    """Segments, jobs and the array rest at random."""
    await play(Bench(dut, "stalls", {"left": 0.2, "op": 0.4, "job": 0.02}, COVER), "stalls")


@cocotb.test()
async def slow_array(dut: Any) -> None:
    """The array takes an op in one cycle of six."""
    await play(Bench(dut, "slow_array", {"op": 0.83}, COVER), "slow_array")


@cocotb.test()
async def late_jobs(dut: Any) -> None:
    """Jobs and right slots come late."""
    await play(Bench(dut, "late_jobs", {"job": 0.3}, COVER), "late_jobs")


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    COVER.required = (*COVER.required, *(("row with several digits",) if configuration().depth > 1 else ()))
    COVER.finish()
