# SPDX-License-Identifier: Apache-2.0
"""What the benches of the issue units share: the PEG's part around one, and the law's ops."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.compute.peg import issue_unit
from hw.config import TILE, MachineConfig
from model.exact.encode.encoder import Segment, beats
from model.exact.route.allocation import lanes
from model.exact.route.lanes import Tile
from verif.checks import Checker, Cover, report
from verif.drivers import Watchdog, start
from verif.harness import configuration, ports_of, sources
from verif.jobs import Generator, JobSet, flat
from verif.simulator import bench_parameters

#: Cover points of any unit.
POINTS = ("queue full", "op under stall", "tiles back to back", "job awaited", "next tile waiting",
          "tile without a digit", "zero digit issued", "low plane", "high plane")
#: Cycles that the first job is late where jobs are: its operands wait by then, whatever the seed.
FIRST_LATE = 8


class IssueBench:
    """Plays the PEG's part: jobs come and go, ops are taken or not. A subclass reads what an op issues.

    `tiles` holds what each tile's ops issued, `trace` an entry for every cycle in which the array moved: the fields of
    the law's op, None where there was none.
    """

    #: Makes what `_take` adds to, for each tile.
    issued: type

    def __init__(self, dut: Any, name: str, pauses: dict[str, float], cover: Cover) -> None:
        self.dut, self.config, self.cover = dut, configuration(), cover
        self.pause, self.draw = pauses.get("op", 0.0), random.Random(f"{cocotb.RANDOM_SEED}/{name}/bench")
        unit = ports_of(issue_unit(self.config)(self.config))
        self.left = sources(dut, unit, ("left",), pauses)["left"]
        Watchdog([self.left], 2000)
        self.checker, self.tiles = Checker(f"{bench_parameters()['bench']}/{name}"), [self.issued()]
        self.trace: list[tuple | None] = []
        self.waits = pauses.get("job", 0.0)       # chance that a job, or its right slot, is late
        self._slot, self._open, self._panels = 0, False, 0

    async def play(self, work: JobSet) -> None:
        """Issue all tiles; compare each with the law's segments."""
        count = len(work.job)
        cycles = work.digits // (TILE * self.config.depth if self.config.dense_depth else 1)     # about as many
        here = [self._late(cycles) for _ in range(count)]
        if self.waits:
            here[0] = max(here[0], FIRST_LATE)
        go = [max(here[n], self._late(cycles)) for n in range(count)]
        for name in ("here", "go", "here_next", "go_next", "threshold", "threshold_next", "slot", "advance"):
            getattr(self.dut, name).value = 0
        await start(self.dut)
        self.left.send(flat(beat) for beat in work.segments)
        while len(self.tiles) <= count:
            self._offer(work, here, go)
            await RisingEdge(self.dut.clk)
            self._observe()
            here, go = [n - 1 for n in here], [n - 1 for n in go]
        for n, ((current, reference, skip), job) in enumerate(zip(work.panels, work.job, strict=True)):
            segments = [item for beat in beats(current, reference, self.config, skip) for item in beat if item]
            self.cover.hit("tile without a digit", not segments)
            for segment in segments:
                self.cover.hit("zero digit issued", segment.count > sum(map(bool, segment.digits)))
                self.cover.hit("high plane" if segment.plane else "low plane")
            self._compare(f"tile {n}", self.tiles[n], segments, job["threshold"])
        self.checker.finish()

    def _late(self, cycles: int) -> int:
        return self.draw.randint(0, cycles) if self.draw.random() < self.waits else 0

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
        dut, cover = self.dut, self.cover
        valid, advance = int(dut.op_valid.value), int(dut.advance.value)
        offered, taken = dut.left_valid.value, dut.left_valid.value and dut.left_ready.value
        cover.hit("queue full", offered and not taken and dut.here_next.value and self._panels < len(self.tiles) + 1)
        cover.hit("next tile waiting", taken and self._panels == len(self.tiles))
        cover.hit("op under stall", valid and not advance)
        cover.hit("job awaited", offered and not dut.here.value)
        self._panels += bool(taken and dut.left_last.value)
        if not advance:
            return
        self.trace.append(None)
        if valid:
            self._op()

    def _op(self) -> None:
        dut, n = self.dut, len(self.tiles) - 1
        last = int(dut.op_last.value)
        self.checker.check(f"tile {n} first", int(dut.op_first.value), int(not self._open))
        self.checker.check(f"tile {n} slot", int(dut.op_slot.value), self._slot)
        self.cover.hit("tiles back to back", n > 0 and not self._open and self.trace[-2:-1] != [None])
        sparse = self._take(f"tile {n}", self.tiles[-1])
        self.trace[-1] = (n, not self._open, bool(last), int(dut.op_segments.value), sparse,
                          int(dut.op_digits.value))
        self._open = not last
        if last:
            self.tiles.append(self.issued())

    def column(self, bank: int) -> int:
        """The row of the right operand that a bank reads."""
        field = int(self.dut.op_k.value)
        width = len(self.dut.op_k) // self.config.residues
        return (field >> bank * width & (1 << width) - 1) * self.config.residues + bank

    def _take(self, where: str, tile: Any) -> int:
        """Add what the op issues to the tile; the digits in its sparse lane."""
        raise NotImplementedError

    def _compare(self, where: str, tile: Any, segments: list[Segment], threshold: int) -> None:
        raise NotImplementedError

    def compare_order(self, work: JobSet) -> None:
        """Without stalls every cycle is the law's."""
        want = law_ops(work, self.config)
        first = next(n for n, op in enumerate(self.trace) if op is not None)
        mine = self.trace[first:]
        report("figures", {"cycles": len(mine), "law cycles": len(want)})
        for cycle, (got, expected) in enumerate(zip(mine, want, strict=False)):
            assert got == expected, f"cycle {cycle}: op {got}, law says {expected}"
        assert len(mine) == len(want), f"{len(mine)} cycles, law says {len(want)}"


def law_ops(work: JobSet, config: MachineConfig) -> list[tuple | None]:
    """Ops of the law from the first to the last, None for a cycle without, nothing holding the lanes."""
    tiles = [Tile(beats(current, reference, config, skip), job["threshold"])
             for (current, reference, skip), job in zip(work.panels, work.job, strict=True)]
    issuing, ops = lanes(tiles, config), []
    while issuing.tile < len(tiles):
        room, op = issuing.room(), issuing.op()
        if ops or op:
            ops.append(None if op is None else tuple(op))
        issuing.issue(op)
        issuing.receive(room)
    return ops


async def play(bench: IssueBench, name: str) -> JobSet:
    """Random jobs through the unit; fewer where only a sparse lane issues them."""
    slots = 30 if bench.config.dense_depth else 12
    work = Generator(bench.config, f"{cocotb.RANDOM_SEED}/{name}", 64).make(slots)
    await bench.play(work)
    return work
