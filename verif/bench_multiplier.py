# SPDX-License-Identifier: Apache-2.0
"""Bench of the multipliers: every digit by every int8 value; native int8 by corners and at random."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

from hw.compute.multiplier import Multiplier
from hw.config import Lane, MachineConfig
from hw.payloads import factor_layout
from verif.checks import Checker, Cover
from verif.digits import factor_of
from verif.harness import configuration, drive_factor, run_block
from verif.simulator import BenchResult

RANDOM = 5000


def multiplier(config: MachineConfig) -> Multiplier:
    """The multiplier of the configuration's elements."""
    return Multiplier(factor_layout(config).length)


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the multiplier of `config` and run all of this bench on it."""
    return run_block(multiplier, __name__, workdir, config, seed=seed, coverage=coverage)


def factors(native: bool) -> Iterator[tuple[int, int]]:
    """(left, right)."""
    corners = (-128, -127, -1, 0, 1, 126, 127) if native else range(-8, 9)
    yield from ((left, right) for left in corners for right in range(-128, 128))
    draw = random.Random(cocotb.RANDOM_SEED)
    for _ in range(RANDOM if native else 0):
        yield draw.randint(-128, 127), draw.randint(-128, 127)


@cocotb.test()
async def products(dut: Any) -> None:
    """Every product is exact."""
    config = configuration()
    native, length = config.lane is Lane.NATIVE, factor_layout(config).length
    checker = Checker("native_multiplier" if native else "digit_multiplier")
    cover = Cover("largest product", "lowest product", "zero", "negative zero")
    largest, lowest = (16384, -16256) if native else (1024, -1024)
    for left, right in factors(native):
        dut.right.value = right
        forms = [factor_of(left, length)]
        if left == 0:
            forms.append([{**digit, "negative": 1} for digit in forms[0]])
        for form in forms:
            drive_factor(dut, "left_", form)
            await Timer(1, unit="ns")
            checker.check(f"left {left} right {right}", dut.product.value.to_signed(), left * right, 16)
        cover.hit("largest product", left * right == largest)
        cover.hit("lowest product", left * right == lowest)
        cover.hit("zero", left * right == 0)
        cover.hit("negative zero", len(forms) > 1)
    checker.finish()
    cover.finish()
