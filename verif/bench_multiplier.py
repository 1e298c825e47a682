# SPDX-License-Identifier: Apache-2.0
"""Bench of the multipliers: every digit by every int8 value in both planes; native int8 by corners and at random."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from amaranth.lib.wiring import Component
from cocotb.triggers import Timer

from hw.compute.multiplier import DigitMultiplier, NativeMultiplier
from hw.config import Lane, MachineConfig
from verif.checks import Checker, Cover
from verif.harness import configuration, run_block
from verif.simulator import BenchResult

RANDOM = 5000


def multiplier(config: MachineConfig) -> Component:
    """The multiplier of the configuration's elements."""
    return NativeMultiplier() if config.lane is Lane.NATIVE else DigitMultiplier()


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the multiplier of `config` and run all of this bench on it."""
    return run_block(multiplier, __name__, workdir, config, seed=seed, coverage=coverage)


def factors(native: bool) -> Iterator[tuple[int, int, int]]:
    """(left, plane, right)."""
    if not native:
        yield from ((left, plane, right) for left in range(-15, 16) for plane in (0, 1)
                    for right in range(-128, 128))
        return
    corners = (-128, -127, -1, 0, 1, 126, 127)
    yield from ((left, plane, right) for left in corners for plane in (0, 1) for right in range(-128, 128))
    draw = random.Random(cocotb.RANDOM_SEED)
    for _ in range(RANDOM):
        yield draw.randint(-128, 127), draw.randint(0, 1), draw.randint(-128, 127)


@cocotb.test()
async def products(dut: Any) -> None:
    """Every product is exact."""
    native = configuration().lane is Lane.NATIVE
    checker = Checker("native_multiplier" if native else "digit_multiplier")
    cover = Cover("largest magnitude", "zero", *(() if native else ("high plane", "low plane")))
    for left, plane, right in factors(native):
        dut.left.value, dut.plane.value, dut.right.value = left, plane, right
        await Timer(1, unit="ns")
        want = left * right * (1 if native else 16 ** plane)
        checker.check(f"left {left} plane {plane} right {right}", dut.product.value.to_signed(), want, 16)
        cover.hit("largest magnitude", want == (16384 if native else -30720))
        cover.hit("zero", want == 0)
        if not native:
            cover.hit("high plane" if plane else "low plane")
    checker.finish()
    cover.finish()
