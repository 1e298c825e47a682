# SPDX-License-Identifier: Apache-2.0
"""Bench of the vector unit: random commands of every operation against the laws, corner rows, stalls on all streams."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
import torch
from cocotb.triggers import RisingEdge
from torch import Tensor

from hw.config import MachineConfig
from hw.control.isa import ROW_SUMS
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX
from hw.vector.control import VectorControl
from hw.vector.operations import GROUP_MAX, STREAMS, THRESHOLD_MAX, TOKENS_MAX, VARIANCE_BITS, WIDTH_MAX, Op
from hw.vector.unit import VectorUnit
from model.exact.vector.gelu import GeluParams
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.exact.vector.scaling import Scale
from verif.checks import Checker, Cover, report
from verif.drivers import Sink, Watchdog, start
from verif.harness import configuration, ports_of, run_block, sinks, sources
from verif.simulator import BenchResult
from verif.vector import (
    Operation,
    gelu_of,
    layernorm_of,
    normalise_of,
    requantise16_of,
    residual_of,
    snap_of,
    softmax_of,
    traffic,
)

_KINDS = [op.name.lower() for op in STREAMS]
cover = Cover(*_KINDS, *(f"{name} awaited" for name in VectorControl.ORDER), "result under stall", "row of one element",
              "row ends within a beat", "rows fill no group", "group of one row", "equal row", "lowest accumulator",
              "highest accumulator", "multiplier 0", "largest multiplier", "shift 0", "largest shift", "int8 saturated",
              "int16 saturated", "smallest epsilon", "largest epsilon", "probability 0", "row sums wrap about",
              "widest row of layernorm", "longest row of softmax", "snapped", "kept")
_SUMS_MASK = ROW_SUMS - 1


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the vector unit of `config` and run all of this bench on it."""
    return run_block(VectorUnit, __name__, workdir, config, seed=seed, coverage=coverage)


class Commands:
    """Random operations, one after another; NORMALISE divides by the row sums that softmax left before it."""

    def __init__(self, config: MachineConfig, name: str) -> None:
        self.draw, self.lanes, self.list = random.Random(f"{cocotb.RANDOM_SEED}/{name}"), config.lanes, []
        self.torch = torch.Generator().manual_seed(self.draw.getrandbits(32))
        self.bits = min(28, config.acc_bits)

    def add(self, kind: str) -> None:
        """An operation of a random, mostly small shape; softmax before each NORMALISE."""
        made = getattr(self, f"_{kind}")(self.draw.randint(1, 20),
                                         self.draw.choice((1, self.draw.randint(1, 3 * self.lanes), 2 * self.lanes)))
        for operation in made:
            self.append(operation)

    def append(self, operation: Operation) -> None:
        """Any operation, in its turn."""
        _cover(operation, self.lanes, self.bits)
        self.list.append(operation)

    def _uniform(self, bits: int, *shape: int) -> Tensor:
        half = 1 << bits - 1
        return torch.randint(-half, half, shape, generator=self.torch)

    def _wide(self, rows: int, cols: int) -> Tensor:
        """Accumulators of every magnitude, the ends of their range among them."""
        acc = self._uniform(self.bits, rows, cols) >> self._uniform(5, rows, cols).abs()
        for end in (-1 << self.bits - 1, (1 << self.bits - 1) - 1):
            acc[self.draw.randrange(rows), self.draw.randrange(cols)] = end
        return acc

    def _narrow(self, bits: int, rows: int, cols: int) -> Tensor:
        """Rows of int16 or int8 of several amplitudes; one may be constant."""
        x = self._uniform(bits, rows, cols) >> self._uniform(5, rows, 1).abs() % bits
        if self.draw.random() < 0.5:
            x[self.draw.randrange(rows)] = self.draw.choice((-1 << bits - 1, 0, (1 << bits - 1) - 1))
        return x

    def _scale(self, columns: int, low: int, high: int) -> Scale:
        top = (1 << MULTIPLIER_BITS) - 1
        shift = self.draw.choice((0, SHIFT_MAX, *[self.draw.randint(low, high)] * 6))
        return Scale(tuple(self.draw.choice((0, 1, top, *[self.draw.randint(1, top)] * 5)) for _ in range(columns)),
                     shift)

    def _group(self) -> int:
        return self.draw.choice((1, GROUP_MAX, self.draw.randint(1, GROUP_MAX)))

    def _requantise16(self, rows: int, cols: int) -> list[Operation]:
        return [requantise16_of(self._narrow(16, rows, cols), self._scale(1, 12, 24))]

    def _layernorm(self, rows: int, cols: int) -> list[Operation]:
        top = VARIANCE_BITS - 1
        epsilon = self.draw.choice((1, (1 << top) - 1, self.draw.getrandbits(self.draw.randint(1, top)) | 1))
        return [layernorm_of(self._narrow(16, rows, cols), self._uniform(16, cols), self._uniform(16, cols),
                             LayerNormParams(epsilon, self._scale(1, 14, 22)), self._group())]

    def _softmax(self, rows: int, cols: int) -> list[Operation]:
        scores = self._wide(rows, cols) if self.draw.random() < 0.3 else self._uniform(18, rows, cols)
        if self.draw.random() < 0.5:
            scores[0] = self.draw.randint(-9, 9)
        return [softmax_of(scores, self._scale(1, 8, 16),
                           self.draw.choice((self.draw.getrandbits(16), ROW_SUMS - 1)), self._group())]

    def _normalise(self, rows: int, cols: int) -> list[Operation]:
        (fill,) = self._softmax(rows, self.draw.randint(1, 4 * self.lanes))
        acc = self._wide(rows, cols) >> self.draw.randint(0, 12)
        return [fill, normalise_of(acc, fill.sums, self._scale(cols, 8, 20), fill.command["sums"])]

    def _gelu(self, rows: int, cols: int) -> list[Operation]:
        return [gelu_of(self._wide(rows, cols), GeluParams(self._scale(cols, 16, 26), self._scale(1, 14, 24)))]

    def _residual(self, rows: int, cols: int) -> list[Operation]:
        return [residual_of(self._narrow(16, rows, cols), self._uniform(16, cols), self._wide(rows, cols),
                            ResidualParams(self._scale(cols, 14, 26), self.draw.randint(0, 8)))]

    def _snap(self, rows: int, cols: int) -> list[Operation]:
        x, reference = self._uniform(8, rows, cols), self._narrow(8, rows, cols)
        if self.draw.random() < 0.7:
            x = (reference + self._uniform(4, rows, cols)).clip(-128, 127)
        return [snap_of(x, reference, self.draw.choice((0, 1, 2, 5, THRESHOLD_MAX)))]


def _cover(operation: Operation, lanes: int, bits: int) -> None:
    command, x, result = operation.command, operation.operands["x"], operation.result
    op, (rows, cols) = Op(command["op"]), result.shape
    multipliers = operation.operands["u"] if op in (Op.NORMALISE, Op.GELU, Op.RESIDUAL) else command["multiplier"]
    multipliers = torch.as_tensor(multipliers)
    scaled, twice = op is not Op.SNAP, op in (Op.LAYERNORM, Op.SOFTMAX)
    cover.hit(op.name.lower())
    cover.hit("row of one element", cols == 1)
    cover.hit("row ends within a beat", cols % lanes)
    cover.hit("rows fill no group", twice and rows % (command["group"] + 1))
    cover.hit("group of one row", twice and command["group"] == 0)
    cover.hit("equal row", twice and cols > 1 and (x == x[:, :1]).all(dim=-1).any())
    cover.hit("lowest accumulator", (x == -1 << bits - 1).any())
    cover.hit("highest accumulator", (x == (1 << bits - 1) - 1).any())
    cover.hit("multiplier 0", scaled and (multipliers == 0).any())
    cover.hit("largest multiplier", (multipliers == (1 << MULTIPLIER_BITS) - 1).any())
    cover.hit("shift 0", scaled and command["shift"] == 0)
    cover.hit("largest shift", command["shift"] == SHIFT_MAX)
    cover.hit("int8 saturated", op is not Op.RESIDUAL and scaled and ((result == -128) | (result == 127)).any())
    cover.hit("int16 saturated", op is Op.RESIDUAL and ((result == -32768) | (result == 32767)).any())
    cover.hit("smallest epsilon", op is Op.LAYERNORM and command["epsilon"] == 1)
    cover.hit("largest epsilon", op is Op.LAYERNORM and command["epsilon"] == (1 << VARIANCE_BITS - 1) - 1)
    cover.hit("probability 0", op is Op.SOFTMAX and (result == 0).any())
    cover.hit("row sums wrap about", op is Op.NORMALISE and (command["sums"] & _SUMS_MASK) + rows > ROW_SUMS)
    cover.hit("widest row of layernorm", op is Op.LAYERNORM and cols == WIDTH_MAX)
    cover.hit("longest row of softmax", op is Op.SOFTMAX and cols == TOKENS_MAX)
    if op is Op.SNAP:
        cover.hit("snapped", (result != x).any())
        cover.hit("kept", (result != operation.operands["y"]).any())


async def _play(dut: Any, name: str, pauses: dict[str, float], commands: Commands) -> tuple[int, int]:
    """Returns (cycles from the first command to the last result, beats of x)."""
    config = configuration()
    unit, checker = ports_of(VectorUnit(config)), Checker(f"vector/{name}")
    into = sources(dut, unit, ("command", *VectorControl.ORDER), pauses)
    out = sinks(dut, unit, ("o",), pauses)["o"]
    Watchdog([*into.values(), out], 20_000)
    await start(dut)
    cocotb.start_soon(_watch(dut))
    beats = traffic(commands.list, config.lanes, commands.draw)
    want = beats.pop("o")
    for stream, given in beats.items():
        into[stream].send(given)
    await _compare(checker, out, want)
    checker.finish()
    return out.last - into["command"].first, len(beats["x"])


async def _compare(checker: Checker, out: Sink, want: list[dict[str, Any]]) -> None:
    for n, expected in enumerate(want):
        (got,) = await out.receive(1)
        checker.check(f"beat {n} last", got["last"], expected["last"])
        for lane, value in enumerate(expected["value"]):
            if value is not None:
                checker.check(f"beat {n} element {lane}", got["value"][lane], value, 16)


async def _watch(dut: Any) -> None:
    while True:
        await RisingEdge(dut.clk)
        for name in VectorControl.ORDER:
            ready, valid = getattr(dut, f"{name}_ready"), getattr(dut, f"{name}_valid")
            cover.hit(f"{name} awaited", ready.value and not valid.value)
        cover.hit("result under stall", dut.o_valid.value and not dut.o_ready.value)


@cocotb.test()
async def widest_rows(dut: Any) -> None:
    """Rows whose sums need every bit; nothing rests, and commands take the cycles of their beats and the pipeline's."""
    commands = Commands(configuration(), "widest_rows")
    x = torch.full((3, WIDTH_MAX), -32768)
    x[1] = 32767
    x[2, ::2] = 32767
    commands.append(layernorm_of(x, commands._uniform(16, WIDTH_MAX), commands._uniform(16, WIDTH_MAX),
                                 LayerNormParams((1 << VARIANCE_BITS - 1) - 1, Scale((2731,), 19)), 3))
    fill = softmax_of(torch.full((2, TOKENS_MAX), -5), Scale((1,), 0), 0, 2)
    commands.append(fill)
    commands.append(normalise_of(commands._wide(2, 4), fill.sums, Scale((99, 4095, 1, 2000), 13)))
    cycles, beats = await _play(dut, "widest_rows", {}, commands)
    report("figures", {"commands": len(commands.list), "cycles": cycles, "beats": beats})
    assert cycles <= beats + 30 * len(commands.list), f"{beats} beats took {cycles} cycles"


@cocotb.test()
async def every_operation(dut: Any) -> None:
    """Every operation many times in random order, no stream rests."""
    commands = Commands(configuration(), "every_operation")
    for kind in commands.draw.sample(_KINDS * 20, 20 * len(_KINDS)):
        commands.add(kind)
    await _play(dut, "every_operation", {}, commands)


@cocotb.test()
async def stalls(dut: Any) -> None:
    """The same, every stream rests at random."""
    commands = Commands(configuration(), "stalls")
    for kind in commands.draw.sample(_KINDS * 10, 10 * len(_KINDS)):
        commands.add(kind)
    await _play(dut, "stalls", {"command": 0.5, "x": 0.2, "y": 0.3, "u": 0.2, "v": 0.4, "o": 0.4}, commands)


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    cover.finish()
