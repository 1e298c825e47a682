# SPDX-License-Identifier: Apache-2.0
"""Bench of the CCPE: tiles of random issues in both lanes, init, merge and drain, the array held at random."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.compute.ccpe import CCPE
from hw.config import TILE, Drain, Lane, MachineConfig
from hw.numerics import wrap
from hw.payloads import Base, Fill, Shift
from verif.checks import Checker, Cover
from verif.drivers import Field, start
from verif.harness import configuration, run_block
from verif.simulator import BenchResult

COVER = Cover("init by rows", "init by columns", "init zero", "hold", "array held", "accumulator wraps",
              "largest product", "no issue", "dense issue")
Block = list[list[int]]


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the CCPE of `config` and run all of this bench on it."""
    return run_block(CCPE, __name__, workdir, config, seed=seed, coverage=coverage)


class Bench:
    """Steers the CCPE as the drain control does, a tile at a time, and compares what leaves."""

    def __init__(self, dut: Any, name: str, pause: float) -> None:
        self.dut, self.config, self.pause = dut, configuration(), pause
        self.draw = random.Random(f"{cocotb.RANDOM_SEED}/{name}")
        self.checker, self.tile = Checker(f"ccpe/{name}"), [[0] * TILE for _ in range(TILE)]
        self.low, self.high = (-128, 127) if self.config.lane is Lane.NATIVE else (-15, 15)
        self.shadow = self.config.drain is Drain.SHADOW
        self.left = Field("left", 8 if self.config.lane is Lane.NATIVE else 5, True, (TILE, self.config.depth))
        self.right = Field("right", 8, True, (self.config.depth, TILE))
        self.row = Field("row", self.config.acc_bits, True, (TILE,))
        self.sparse = Field("sparse", 8, True, (TILE,))

    async def play(self, tiles: int) -> None:
        """Tiles one after the other, each with an init, some issues and a drain."""
        for name in ("advance", "base", "clear_sparse", "capture", "shift", "fill"):
            self._command(**{name: 0})
        await start(self.dut)
        await RisingEdge(self.dut.clk)
        for n in range(tiles):
            await self._init(self.draw.choice(("rows", "columns", "zero", "hold")))
            await self._issues(self.draw.choice((0, 1, 2, 10, 40)))
            await self._drain(n)
        self.checker.finish()

    def _command(self, **values: int) -> None:
        for name, value in values.items():
            getattr(self.dut, f"command_{name}").value = int(getattr(value, "value", value))

    async def _init(self, kind: str) -> None:
        """In place the accumulators take it; else the shadow set, which the first product is then added to."""
        COVER.hit(f"init by {kind}" if kind in ("rows", "columns") else "hold" if kind == "hold" else "init zero")
        self._first = {"hold": Base.ACC, "zero": Base.ZERO}.get(kind, Base.SHADOW)
        if kind == "hold":
            return
        half = 1 << self.config.acc_bits - 1
        tile = [[self.draw.choice((self.draw.randint(-half, half - 1), -half, half - 1, 0)) for _ in range(TILE)]
                for _ in range(TILE)]
        self.tile = [[0] * TILE for _ in range(TILE)] if kind == "zero" else tile
        if kind == "zero" and self.shadow:
            return
        sent = [list(column) for column in zip(*tile, strict=True)] if kind == "columns" else tile
        for row in sent:
            self.dut.init.value = self.row.pack(row)
            await self._step(shift=Shift.COLUMNS if kind == "columns" else Shift.ROWS,
                             fill=Fill.ZERO if kind == "zero" else Fill.INIT)

    async def _step(self, **command: Any) -> None:
        self._command(**command)
        await RisingEdge(self.dut.clk)
        self._command(**dict.fromkeys(command, 0))

    async def _issues(self, count: int) -> None:
        """`count` random issues and an idle one that brings the last product home."""
        COVER.hit("no issue", count == 0)
        for n in range(count + 1):
            while self.draw.random() < self.pause:
                self._factors()                       # what stands at the lanes while they are held counts nothing
                COVER.hit("array held")
                await RisingEdge(self.dut.clk)
            products = self._factors(idle=n == count)
            # The product register still holds the idle issue before this tile: it opens the tile.
            self._command(base=self._first if n == 0 else Base.ACC,
                          clear_sparse=int(n == 0 and self.shadow and self._first != Base.ACC), advance=1)
            await RisingEdge(self.dut.clk)
            self._command(advance=0)
            for r in range(TILE):
                for c in range(TILE):
                    total = self.tile[r][c] + products[r][c]
                    self.tile[r][c] = wrap(total, self.config.acc_bits)
                    COVER.hit("accumulator wraps", total != self.tile[r][c])
        await self._step(advance=1, base=Base.ACC)

    def _factors(self, idle: bool = False) -> Block:
        """Drive random factors (none: zeros); returns what they add to the tile."""
        dut, draw, depth = self.dut, self.draw, self.config.depth
        low, high = (0, 0) if idle else (self.low, self.high)
        left = [[draw.choice((draw.randint(low, high), low, high, 0)) for _ in range(depth)] for _ in range(TILE)]
        right = [[draw.choice((draw.randint(-128, 127), -128)) for _ in range(TILE)] for _ in range(depth)]
        plane = [draw.randint(0, 1) for _ in range(depth)]
        dut.dense_left.value, dut.dense_right.value = self.left.pack(left), self.right.pack(right)
        dut.dense_plane.value = sum(bit << j for j, bit in enumerate(plane))
        native = self.config.lane is Lane.NATIVE
        weight = [1 if native else 16 ** bit for bit in plane]
        result = [[sum(left[r][j] * right[j][c] * weight[j] for j in range(depth)) for c in range(TILE)]
                  for r in range(TILE)]
        COVER.hit("dense issue", any(map(any, left)))
        COVER.hit("largest product", abs(result[0][0]) == abs(self.low) * 128 * depth * (1 if native else 16))
        row, factor, bit = draw.randint(0, TILE - 1), draw.randint(low, high), draw.randint(0, 1)
        values = [draw.randint(-128, 127) for _ in range(TILE)]
        dut.sparse_left.value, dut.sparse_plane.value, dut.sparse_row.value = factor, bit, row
        dut.sparse_right.value = self.sparse.pack(values)
        if self.config.sparse_lanes:
            result[row] = [old + factor * 16 ** bit * new for old, new in zip(result[row], values, strict=True)]
            COVER.hit("both lanes in one cycle", factor and any(map(any, left)))
        return result

    async def _drain(self, n: int) -> None:
        """Rows leave at row 0; in place the tile rotates back, so that a `hold` may follow."""
        if self.shadow:
            await self._step(capture=1)
        for r in range(TILE):
            await RisingEdge(self.dut.clk)
            self.checker.check(f"tile {n} row {r}", self.row.unpack(int(self.dut.result.value)), self.tile[r],
                               self.config.acc_bits)
            await self._step(shift=Shift.ROWS, fill=Fill.ROTATE)


@cocotb.test()
async def full_rate(dut: Any) -> None:
    """An issue a cycle."""
    await Bench(dut, "full_rate", 0.0).play(150)


@cocotb.test()
async def held(dut: Any) -> None:
    """The array is held in half of the cycles, with noise at its inputs."""
    await Bench(dut, "held", 0.5).play(150)


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    lanes = ("both lanes in one cycle",) if configuration().sparse_lanes else ()
    COVER.required = (*COVER.required, *lanes)
    COVER.finish()
