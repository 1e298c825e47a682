# SPDX-License-Identifier: Apache-2.0
"""Bench of the allocation unit: no digit lost or doubled, the policy kept, the law's order where nothing stalls."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.config import TILE, Allocation, MachineConfig
from hw.payloads import Init
from hw.route.allocation import AllocationUnit
from model.exact.encode.encoder import Segment, beats
from model.exact.route.allocation import Tile, schedule
from verif.checks import Checker, Cover, report
from verif.drivers import Watchdog, start
from verif.harness import configuration, ports_of, run_block, sources
from verif.jobs import Generator, JobSet, flat
from verif.simulator import BenchResult

COVER = Cover(*(f"segment of {n} non-zeros" for n in range(TILE + 1)), "queue full", "tile without a segment",
              "op under stall", "tiles back to back", "job awaited")


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the allocation unit of `config` and run all of this bench on it."""
    return run_block(AllocationUnit, __name__, workdir, config, seed=seed, coverage=coverage)


@dataclass
class Issued:
    """What one tile's ops issued."""

    dense: list[tuple] = field(default_factory=list)        #: (k, plane, digits)
    sparse: list[tuple] = field(default_factory=list)       #: (k, plane, [(row, digit), ...])


class Bench:
    """Plays the PEG's part: jobs come and go, ops are taken or not."""

    def __init__(self, dut: Any, name: str, pauses: dict[str, float]) -> None:
        self.dut, self.name, self.config = dut, name, configuration()
        self.pause, self.draw = pauses.get("op", 0.0), random.Random(f"{cocotb.RANDOM_SEED}/{name}/bench")
        unit = ports_of(AllocationUnit(self.config))
        self.left = sources(dut, unit, ("left",), pauses)["left"]
        Watchdog([self.left], 2000)
        self.checker, self.tiles, self.trace = Checker(f"allocation/{name}"), [Issued()], []
        self.waits = pauses.get("job", 0.0)       # chance that a job, or its right slot, is late
        self._slot, self._open = 0, False         # of the tile being issued

    async def play(self, work: JobSet) -> None:
        """Issue all tiles; compare each with the law's segments."""
        count = len(work.job)
        here = [self._late() for _ in range(count)]
        go = [max(here[n], self._late()) for n in range(count)]
        for name in ("here", "go", "here_next", "go_next", "threshold", "threshold_next", "slot", "advance"):
            getattr(self.dut, name).value = 0
        await start(self.dut)
        self.left.send(flat(beat) for beat in work.segments)
        while len(self.tiles) <= count:
            self._offer(work, here, go)
            await RisingEdge(self.dut.clk)
            self._observe()
            here, go = [n - 1 for n in here], [n - 1 for n in go]
        self._compare(work)

    def _late(self) -> int:
        return self.draw.randint(0, 3000) if self.draw.random() < self.waits else 0

    def _offer(self, work: JobSet, here: list[int], go: list[int]) -> None:
        dut, now = self.dut, len(self.tiles) - 1
        present = [n < len(here) and max(here[:n + 1]) <= 0 for n in (now, now + 1)]
        ready = [here_ and max(go[:n + 1]) <= 0 for here_, n in zip(present, (now, now + 1), strict=True)]
        dut.here.value, dut.here_next.value = present
        dut.go.value, dut.go_next.value = ready
        jobs = [work.job[min(n, len(here) - 1)] for n in (now, now + 1)]
        dut.threshold.value, dut.threshold_next.value = (job["threshold"] for job in jobs)
        dut.slot.value, dut.advance.value = jobs[0]["slot"], int(self.draw.random() >= self.pause)
        self._slot = jobs[0]["slot"]

    def _observe(self) -> None:
        dut = self.dut
        valid, advance = int(dut.op_valid.value), int(dut.advance.value)
        COVER.hit("queue full", dut.left_valid.value and not dut.left_ready.value and dut.here_next.value)
        COVER.hit("op under stall", valid and not advance)
        COVER.hit("job awaited", dut.left_valid.value and not dut.here.value)
        if not advance:
            return
        self.trace.append((0, 0))
        if valid:
            self._take(self.tiles[-1])
            if dut.op_last.value:
                self.tiles.append(Issued())

    def _take(self, tile: Issued) -> None:
        dut, config, where = self.dut, self.config, f"tile {len(self.tiles) - 1}"
        fresh_tile = not tile.dense and not tile.sparse
        self.checker.check(f"{where} first", int(dut.op_first.value), int(not self._open))
        self.checker.check(f"{where} slot", int(dut.op_slot.value), self._slot)
        COVER.hit("tiles back to back", fresh_tile and len(self.trace) > 1 and self.trace[-2] != (0, 0)
                  and len(self.tiles) > 1)
        self._open = not dut.op_last.value
        dense, banks = 0, set()
        for j in range(config.depth):
            if int(getattr(dut, f"op_dense{j}_valid").value):
                segment = self._dense(j)
                tile.dense.append(segment)
                banks.add(segment[0] % config.residues)
                self.checker.check(f"{where} slot of k {segment[0]}", segment[0] % config.depth, j)
                dense += 1
        sparse = bool(config.sparse_lanes and dut.op_sparse_valid.value)
        if sparse:
            self._sparse(tile, banks, where)
        self.trace[-1] = (dense, int(sparse))
        COVER.hit("both lanes in one cycle", dense and sparse)

    def _dense(self, j: int) -> tuple:
        name = f"op_dense{j}_"
        left = int(getattr(self.dut, f"{name}left").value)
        digits = tuple(((left >> 5 * row & 31) ^ 16) - 16 for row in range(TILE))
        return int(getattr(self.dut, f"{name}k").value), int(getattr(self.dut, f"{name}plane").value), digits

    def _sparse(self, tile: Issued, banks: set[int], where: str) -> None:
        dut = self.dut
        key = int(dut.op_sparse_k.value), int(dut.op_sparse_plane.value)
        if dut.op_sparse_fresh.value:
            tile.sparse.append((*key, []))
            # Later non-zeros of a segment use the row that the store holds.
            self.checker.check(f"{where} bank of k {key[0]} free", int(key[0] % self.config.residues in banks), 0)
        self.checker.check(f"{where} sparse segment", key, tile.sparse[-1][:2])
        tile.sparse[-1][2].append((int(dut.op_sparse_row.value), dut.op_sparse_left.value.to_signed()))

    def _compare(self, work: JobSet) -> None:
        for n, ((current, reference, skip), job) in enumerate(zip(work.panels, work.job, strict=True)):
            segments = [item for beat in beats(current, reference, self.config, skip) for item in beat if item]
            mine, where = self.tiles[n], f"tile {n}"
            thin = [Segment(k, plane, _digits(parts)) for k, plane, parts in mine.sparse]
            issued = [Segment(*part) for part in mine.dense] + thin
            wrong = Counter(issued) - Counter(segments), Counter(segments) - Counter(issued)
            self.checker.check(f"{where} doubled {list(wrong[0])[:1]} lost {list(wrong[1])[:1]}",
                               [sum(part.values()) for part in wrong], [0, 0])
            limit = job["threshold"]
            self.checker.check(f"{where} thick in the sparse lane", sum(s.nonzeros > limit for s in thin), 0)
            rows = [[row for row, _ in parts] for _, _, parts in mine.sparse]
            self.checker.check(f"{where} rows in order", rows, [sorted(part) for part in rows])
            if self.config.allocation is Allocation.THRESHOLD:
                thick = [Segment(*part).nonzeros for part in mine.dense]
                self.checker.check(f"{where} thin in the dense lane", sum(0 < n <= limit for n in thick), 0)
            COVER.hit("tile without a segment", not segments)
            for segment in segments:
                COVER.hit(f"segment of {segment.nonzeros} non-zeros")
        self.checker.finish()


def _digits(parts: list[tuple[int, int]]) -> tuple[int, int, int, int]:
    values = dict(parts)
    return tuple(values.get(row, 0) for row in range(TILE))


async def _play(dut: Any, name: str, pauses: dict[str, float], slots: int = 30) -> tuple[Bench, JobSet]:
    bench = Bench(dut, name, pauses)
    work = Generator(bench.config, f"{cocotb.RANDOM_SEED}/{name}", 64).make(slots)
    await bench.play(work)
    return bench, work


@cocotb.test()
async def law_order(dut: Any) -> None:
    """Without stalls the lanes do in each cycle what the law's schedule says."""
    bench, work = await _play(dut, "law_order", {})
    tiles = [Tile(beats(current, reference, bench.config, skip), job["threshold"], Init.HOLD, emit=False)
             for (current, reference, skip), job in zip(work.panels, work.job, strict=True)]
    law = schedule(tiles, bench.config, trace=True).trace
    mine, want = _busy(bench.trace), _busy(law)
    report("figures", {"cycles": len(mine), "law cycles": len(want)})
    for cycle, (got, expected) in enumerate(zip(mine, want, strict=False)):
        assert got == expected, f"cycle {cycle}: lanes issue {got} (dense, sparse), law says {expected}"
    assert len(mine) == len(want), f"{len(mine)} cycles, law says {len(want)}"


def _busy(trace: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """From the first issue to the last."""
    places = [n for n, issues in enumerate(trace) if issues != (0, 0)]
    return trace[places[0]:places[-1] + 1]


@cocotb.test()
async def stalls(dut: Any) -> None:
    """Segments, jobs and the array rest at random."""
    await _play(dut, "stalls", {"left": 0.2, "op": 0.4, "job": 0.02})


@cocotb.test()
async def slow_array(dut: Any) -> None:
    """The array takes an op in one cycle of six."""
    await _play(dut, "slow_array", {"op": 0.83})


@cocotb.test()
async def late_jobs(dut: Any) -> None:
    """Jobs and right slots come late."""
    await _play(dut, "late_jobs", {"job": 0.1})


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    lanes = ("both lanes in one cycle",) if configuration().sparse_lanes else ()
    COVER.required = (*COVER.required, *lanes)
    COVER.finish()
