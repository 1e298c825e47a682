# SPDX-License-Identifier: Apache-2.0
"""Bench of the requantiser: every shift with ties and saturation, both outputs, stalls on every stream."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Combine, RisingEdge

from hw.config import TILE, MachineConfig
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX, requantise
from hw.vector.requantise import Requantise
from verif.checks import Checker, Cover, report
from verif.drivers import Watchdog, start
from verif.harness import compare_rows, configuration, ports_of, run_block, sinks, sources
from verif.simulator import BenchResult

cover = Cover("tie", "negative tie", "saturated high", "saturated low", "exactly 127", "exactly -128",
              "multiplier 0", "largest multiplier", "shift 0", "largest shift", "lowest accumulator", "both outputs",
              "accumulators only", "int8 only", "int8 under stall", "accumulators under stall", "scale awaited")
Rows = list[dict[str, Any]]


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the requantiser of `config` and run all of this bench on it."""
    return run_block(Requantise, __name__, workdir, config, seed=seed, coverage=coverage)


class Tiles:
    """Random tiles: rows in, scales, and what the law says of both outputs."""

    def __init__(self, config: MachineConfig, name: str) -> None:
        self.config, self.draw = config, random.Random(f"{cocotb.RANDOM_SEED}/{name}")
        self.rows, self.scale, self.accumulators, self.int8 = [], [], [], []

    def add(self, shift: int, emit: int) -> None:
        """A tile with values about the ties and the ends of the int8 range for its multipliers."""
        draw, columns, top = self.draw, self.config.columns, (1 << MULTIPLIER_BITS) - 1
        multiplier = [draw.choice((1, 2, 64, 2048, draw.randint(1, top), top, 0)) for _ in range(columns)]
        header = {"rows": draw.randint(1, TILE), "cols": draw.randint(1, columns),
                  "tag": draw.getrandbits(self.config.tag_bits)}
        for row in range(TILE):
            values = [self._value(factor, shift) for factor in multiplier]
            beat = {**header, "value": values, "row": row, "last": int(row == TILE - 1)}
            self.rows.append({**beat, "emit": emit})
            if emit & 1:
                self.accumulators.append(self.rows[-1])
            if emit & 2:
                scaled = [requantise(value, factor, shift) for value, factor in zip(values, multiplier, strict=True)]
                self.int8.append({**beat, "value": scaled})
                for value, factor, result in zip(values, multiplier, scaled, strict=True):
                    _cover(value, factor, shift, result)
        if emit & 2:
            self.scale.append({"multiplier": multiplier, "shift": shift})

    def _value(self, multiplier: int, shift: int) -> int:
        """An accumulator whose product lies at a tie, at an end of the range, or anywhere."""
        low, high = -(1 << self.config.acc_bits - 1), (1 << self.config.acc_bits - 1) - 1
        half = (1 << shift) // 2
        target = self.draw.choice((half * (2 * self.draw.randint(-130, 130) + 1), (127 << shift) + half,
                                   (-128 << shift) - half, 127 << shift, -128 << shift))
        near = target // max(1, multiplier) + self.draw.randint(-1, 1)
        return max(low, min(high, self.draw.choice((near, near, near, low, high, self.draw.randint(low, high), 0))))


def _cover(value: int, multiplier: int, shift: int, result: int) -> None:
    product = value * multiplier
    tie = shift > 0 and product % (1 << shift) == 1 << (shift - 1)
    exact = (product + ((1 << shift) >> 1)) >> shift
    cover.hit("negative tie" if product < 0 else "tie", tie)
    cover.hit("saturated high", exact > 127)
    cover.hit("saturated low", exact < -128)
    cover.hit("exactly 127", exact == 127)
    cover.hit("exactly -128", exact == -128)
    cover.hit("multiplier 0", multiplier == 0)
    cover.hit("largest multiplier", multiplier == (1 << MULTIPLIER_BITS) - 1)
    cover.hit("shift 0", shift == 0)
    cover.hit("largest shift", shift == SHIFT_MAX)
    cover.hit("lowest accumulator", value == -(1 << configuration().acc_bits - 1))


async def _play(dut: Any, name: str, pauses: dict[str, float], tiles: Tiles) -> tuple[int, int]:
    """Returns (cycles from the first to the last int8 row, latency)."""
    config = tiles.config
    unit, checker = ports_of(Requantise(config)), Checker(f"requantise/{name}")
    into = sources(dut, unit, ("i", "scale"), pauses)
    out = sinks(dut, unit, ("accumulators", "o"), pauses)
    Watchdog([*into.values(), *out.values()], 2000)
    await start(dut)
    cocotb.start_soon(_watch(dut))
    into["i"].send(tiles.rows)
    into["scale"].send(tiles.scale)
    await Combine(cocotb.start_soon(compare_rows(checker, out["accumulators"], tiles.accumulators, config.acc_bits)),
                  cocotb.start_soon(compare_rows(checker, out["o"], tiles.int8, 8)))
    checker.finish()
    return out["o"].last - out["o"].first + 1, out["o"].first - into["i"].first


async def _watch(dut: Any) -> None:
    while True:
        await RisingEdge(dut.clk)
        emit = int(dut.i_emit.value) if dut.i_valid.value else 0
        cover.hit("both outputs", emit == 3)
        cover.hit("accumulators only", emit == 1)
        cover.hit("int8 only", emit == 2)
        cover.hit("int8 under stall", dut.o_valid.value and not dut.o_ready.value)
        cover.hit("accumulators under stall", dut.accumulators_valid.value and not dut.accumulators_ready.value)
        cover.hit("scale awaited", dut.scale_ready.value and not dut.scale_valid.value)


@cocotb.test()
async def every_shift(dut: Any) -> None:
    """Int8 only, every shift four times; a row takes as many cycles as it has parts, the first waits for its scale."""
    tiles = Tiles(configuration(), "every_shift")
    for shift in list(range(SHIFT_MAX + 1)) * 4:
        tiles.add(shift, 2)
    cycles, latency = await _play(dut, "every_shift", {}, tiles)
    report("figures", {"rows": len(tiles.rows), "cycles": cycles, "latency": latency})
    parts = tiles.config.requantise_cycles
    assert cycles == parts * (len(tiles.rows) - 1) + 1, f"{len(tiles.rows)} rows of {parts} parts took {cycles} cycles"


@cocotb.test()
async def stalls(dut: Any) -> None:
    """Both outputs, every stream rests at random."""
    tiles = Tiles(configuration(), "stalls")
    for _ in range(200):
        tiles.add(tiles.draw.randint(0, SHIFT_MAX), tiles.draw.randint(1, 3))
    await _play(dut, "stalls", {"i": 0.2, "scale": 0.5, "accumulators": 0.4, "o": 0.6}, tiles)


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    cover.finish()
