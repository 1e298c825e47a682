# SPDX-License-Identifier: Apache-2.0
"""Bench of the top: operands in at every group's encoder, accumulators and int8 out, all groups at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Combine, RisingEdge

from hw.config import MachineConfig
from hw.top import Top
from verif.checks import Checker, Cover
from verif.drivers import Watchdog, start
from verif.harness import compare_rows, configuration, ports_of, run_block, sinks, sources
from verif.jobs import Generator
from verif.simulator import BenchResult, bench_parameters

INPUTS, OUTPUTS = ("job", "left", "right", "init", "scale"), ("accumulators", "int8")
cover = Cover("init under stall", "drain under stall", "int8 under stall", "left refused", "scale awaited")


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, slots: int = 20,
        coverage: bool = False) -> BenchResult:
    """Build the top of `config` and run all of this bench on it, `slots` right slots of jobs a group and test."""
    return run_block(Top, __name__, workdir, config, seed=seed, coverage=coverage, slots=slots)


async def _play(dut: Any, name: str, pauses: dict[str, float]) -> None:
    config = configuration()
    top = ports_of(Top(config))
    groups = [getattr(top, f"peg{n}") for n in range(config.pegs)]
    into = [sources(dut, top, INPUTS, pauses, group) for group in groups]
    out = [sinks(dut, top, OUTPUTS, pauses, group) for group in groups]
    for n in range(config.pegs):
        getattr(dut, f"peg{n}_clear").value = 0
    Watchdog([port for ports in (*into, *out) for port in ports.values()], 5000)
    await start(dut)
    tasks, checkers = [cocotb.start_soon(_watch(dut))], []
    for n in range(config.pegs):
        work = Generator(config, f"{cocotb.RANDOM_SEED}/{name}/{n}", 48).make(bench_parameters()["slots"])
        checkers.append(Checker(f"peg{n}/{name}"))
        for stream in INPUTS:
            into[n][stream].send(getattr(work, stream))
        tasks += [cocotb.start_soon(compare_rows(checkers[n], out[n]["accumulators"], work.accumulators,
                                                 config.acc_bits)),
                  cocotb.start_soon(compare_rows(checkers[n], out[n]["int8"], work.int8, 8))]
    await Combine(*tasks[1:])
    tasks[0].cancel()
    for checker in checkers:
        checker.finish()


async def _watch(dut: Any) -> None:
    def valid(stream: str) -> bool:
        return bool(getattr(dut, f"peg0_{stream}_valid").value)

    def ready(stream: str) -> bool:
        return bool(getattr(dut, f"peg0_{stream}_ready").value)

    while True:
        await RisingEdge(dut.clk)
        cover.hit("init under stall", ready("init") and not valid("init"))
        cover.hit("drain under stall", valid("accumulators") and not ready("accumulators"))
        cover.hit("int8 under stall", valid("int8") and not ready("int8"))
        cover.hit("left refused", valid("left") and not ready("left"))
        cover.hit("scale awaited", ready("scale") and not valid("scale"))


@cocotb.test()
async def full_rate(dut: Any) -> None:
    """No stalls."""
    await _play(dut, "full_rate", {})


@cocotb.test()
async def stalls(dut: Any) -> None:
    """Every stream rests at random, results more than the others."""
    await _play(dut, "stalls", {**dict.fromkeys(INPUTS, 0.3), **dict.fromkeys(OUTPUTS, 0.6)})


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    cover.finish()
