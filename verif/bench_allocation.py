# SPDX-License-Identifier: Apache-2.0
"""Bench of the allocation unit: no digit lost or doubled, the policy kept, the law's order where nothing stalls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb

from hw.config import TILE, Allocation, MachineConfig
from hw.route.allocation import AllocationUnit
from model.exact.encode.encoder import Segment
from verif.checks import Cover
from verif.harness import configuration, read_factor, run_block
from verif.issue import POINTS, IssueBench, play
from verif.simulator import BenchResult

COVER = Cover(*POINTS, *(f"segment of {n} digits" for n in range(1, TILE + 1)))


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the allocation unit of `config` and run all of this bench on it."""
    return run_block(AllocationUnit, __name__, workdir, config, seed=seed, coverage=coverage, bench="allocation")


@dataclass
class Issued:
    """What one tile's ops issued."""

    dense: list[tuple] = field(default_factory=list)        #: (k, plane, digits), one of them not zero
    sparse: list[tuple] = field(default_factory=list)       #: (k, plane, [(row, digit), ...])
    segments: int = 0                                       #: dense ones, those of zeros among them
    digits: int = 0


class Bench(IssueBench):
    """Reads both lanes."""

    issued = Issued

    def _take(self, where: str, tile: Issued) -> int:
        dut, config = self.dut, self.config
        banks = set()
        for j in range(config.dense_depth):
            digits = tuple(read_factor(dut, f"op_dense{j}_left{row}", 2) for row in range(TILE))
            if any(digits):
                bank = j + config.depth * int(getattr(dut, f"op_dense{j}_upper").value)
                tile.dense.append((self.column(bank), int(getattr(dut, f"op_dense{j}_plane").value), digits))
                banks.add(bank)
        tile.segments += int(dut.op_segments.value)
        tile.digits += int(dut.op_digits.value)
        if not (config.sparse_lanes and dut.op_sparse_valid.value):
            return 0
        self._sparse(tile, banks, where)
        if config.dense_depth:
            self.cover.hit("both lanes in one cycle", banks)
        return 1

    def _sparse(self, tile: Issued, banks: set[int], where: str) -> None:
        dut = self.dut
        plane = int(dut.op_sparse_plane.value)
        if dut.op_sparse_fresh.value:
            bits = int(dut.op_sparse_bank.value)
            bank = bits.bit_length() - 1
            tile.sparse.append((self.column(bank), plane, []))
            # Later digits of a segment use the row that the reader holds.
            self.checker.check(f"{where} bank {bank} free", (bits, int(bank in banks)), (1 << bank, 0))
        self.checker.check(f"{where} sparse plane", plane, tile.sparse[-1][1])
        tile.sparse[-1][2].append((int(dut.op_sparse_row.value), read_factor(dut, "op_sparse_left", 2)))

    def _compare(self, where: str, tile: Issued, segments: list[Segment], threshold: int) -> None:
        check, policy = self.checker.check, self.config.allocation
        known = {(segment.k, segment.plane, segment.digits): segment for segment in segments}
        thin = [(k, plane, _digits(parts)) for k, plane, parts in tile.sparse]
        mine, want = Counter(tile.dense + [key for key in thin if any(key[2])]), Counter(
            (segment.k, segment.plane, segment.digits) for segment in segments if any(segment.digits))
        wrong = mine - want, want - mine
        check(f"{where} doubled {list(wrong[0])[:1]} lost {list(wrong[1])[:1]}",
              [sum(part.values()) for part in wrong], [0, 0])
        check(f"{where} segments", tile.segments + len(thin), len(segments))
        check(f"{where} digits", tile.digits, sum(segment.count for segment in segments))
        rows = [[row for row, _ in parts] for _, _, parts in tile.sparse]
        check(f"{where} rows in order", rows, [sorted(part) for part in rows])
        limit = TILE if policy is Allocation.SPARSE else threshold
        counts = [[known[key].count for key in keys if key in known] for keys in (tile.dense, thin)]
        check(f"{where} thick in the sparse lane", sum(count > limit for count in counts[1]), 0)
        if policy is Allocation.THRESHOLD:
            check(f"{where} thin in the dense lane", sum(count <= limit for count in counts[0]), 0)
        for segment in segments:
            self.cover.hit(f"segment of {segment.count} digits")


def _digits(parts: list[tuple[int, int]]) -> tuple[int, ...]:
    values = dict(parts)
    return tuple(values.get(row, 0) for row in range(TILE))


@cocotb.test()
async def law_order(dut: Any) -> None:
    """Without stalls the lanes do in each cycle what the law says."""
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
    config = configuration()
    COVER.required = (*COVER.required, *(("both lanes in one cycle",) if config.sparse_lanes and config.dense_depth
                                         else ()))
    COVER.finish()
