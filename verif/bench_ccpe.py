# SPDX-License-Identifier: Apache-2.0
"""Bench of the CCPE: tiles of random issues in its lanes, init, merge and drain, the array held at random."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.compute.ccpe import CCPE
from hw.config import TILE, Drain, Lane, MachineConfig
from hw.numerics import wrap
from hw.payloads import Base, Fill, Shift, factor_layout
from verif.checks import Checker, Cover
from verif.digits import factor_of
from verif.drivers import Field, start
from verif.harness import configuration, drive_factor, run_block
from verif.simulator import BenchResult

COVER = Cover("init by rows", "init by columns", "init zero", "hold", "array held", "accumulator wraps",
              "no issue")
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
        self.native, self.merges = self.config.lane is Lane.NATIVE, self.config.merges
        self.low, self.high = (-128, 127) if self.native else (-8, 8)
        self.shadow, self.digits = self.config.drain is Drain.SHADOW, factor_layout(self.config).length
        self.right = Field("right", 8, True, (self.config.right_reads, TILE))
        self.select = Field("select", self.config.buses, False, (TILE, self.config.depth))
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
        result = self._dense(idle) if self.config.dense_depth else [[0] * TILE for _ in range(TILE)]
        dense = any(map(any, result))
        if self.config.sparse_lanes:
            row, products = self._sparse(idle)
            result[row] = [old + new for old, new in zip(result[row], products, strict=True)]
            COVER.hit("sparse issue", any(products))
            COVER.hit("both lanes in one cycle", any(products) and dense)
        return result

    def _dense(self, idle: bool) -> Block:
        """Each multiplier its digit, its plane, and under `merge` its bus."""
        dut, draw, depth, reads = self.dut, self.draw, self.config.depth, self.config.right_reads
        low, high = (0, 0) if idle else (self.low, self.high)
        extreme = draw.random() < 0.1
        left = [[low if extreme else draw.choice((draw.randint(low, high), low, high, 0)) for _ in range(depth)]
                for _ in range(TILE)]
        right = [[-128 if extreme else draw.choice((draw.randint(-128, 127), -128)) for _ in range(TILE)]
                 for _ in range(reads)]
        bus = [[draw.randrange(self.config.buses) if self.merges else 0 for _ in range(depth)] for _ in range(TILE)]
        plane = [draw.randint(0, 1)] * depth if self.merges else [draw.randint(0, 1) for _ in range(depth)]
        for r in range(TILE):
            for j in range(depth):
                drive_factor(dut, f"dense_left_{r}{j}", factor_of(left[r][j], self.digits))
        dut.dense_right.value = self.right.pack(right)
        if not self.native:
            dut.dense_plane.value = plane[0] if self.merges else sum(bit << j for j, bit in enumerate(plane))
        if self.merges:
            # A multiplier without a digit may select nothing.
            dut.dense_select.value = self.select.pack([[1 << bus[r][j] if left[r][j] or draw.randint(0, 1) else 0
                                                        for j in range(depth)] for r in range(TILE)])
            COVER.hit("rows choose different buses", len(set(map(tuple, bus))) > 1)
        weight = [1 if self.native else 16 ** bit for bit in plane]
        rows = [[2 * j + bus[r][j] if self.merges else j for j in range(depth)] for r in range(TILE)]
        COVER.hit("dense issue", any(map(any, left)))
        result = [[sum(left[r][j] * right[rows[r][j] % reads][c] * weight[j] for j in range(depth))
                   for c in range(TILE)] for r in range(TILE)]
        COVER.hit("largest product", result[0][0] == depth << 14)
        return result

    def _sparse(self, idle: bool) -> tuple[int, list[int]]:
        """One digit for one row; returns the row and its products."""
        dut, draw = self.dut, self.draw
        row, bit, digit = draw.randrange(TILE), draw.randint(0, 1), 0 if idle else draw.randint(self.low, self.high)
        values = [draw.choice((draw.randint(-128, 127), -128)) for _ in range(TILE)]
        drive_factor(dut, "sparse_left_", factor_of(digit, self.digits))
        dut.sparse_plane.value, dut.sparse_row.value = bit, row
        dut.sparse_right.value = self.sparse.pack(values)
        return row, [digit * 16 ** bit * value for value in values]

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
    config = configuration()
    dense = ("dense issue", "largest product") if config.dense_depth else ()
    sparse = ("sparse issue",) if config.sparse_lanes else ()
    both = ("both lanes in one cycle",) if dense and sparse else ()
    merge = ("rows choose different buses",) if config.merges else ()
    COVER.required = (*COVER.required, *dense, *sparse, *both, *merge)
    COVER.finish()
