# SPDX-License-Identifier: Apache-2.0
"""Bench of the PE group, for digits and native int8: random jobs under random stalls on every stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.compute.peg import PEG
from hw.config import TILE, Lane, MachineConfig
from hw.control.counters import COUNTERS
from verif.checks import Checker, Cover, report
from verif.drivers import Watchdog, start
from verif.harness import compare_rows, configuration, ports_of, run_block, sinks, sources
from verif.jobs import Generator, JobSet, flat
from verif.simulator import BenchResult, bench_parameters

NATIVE_COVER = ("init under stall", "drain under stall", "result refused for 8 cycles", "right slot waits for release",
                "job waits for its right operand", "unemitted job", "hold", "transposed init", "K = 1")
DIGIT_COVER = (*NATIVE_COVER, *(f"segment of {n} digits" for n in range(1, TILE + 1)), "left refused")


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, slots: int = 30,
        coverage: bool = False) -> BenchResult:
    """Build the PEG of `config` and run all of this bench on it, `slots` right slots of jobs a test."""
    return run_block(PEG, __name__, workdir, config, seed=seed, coverage=coverage, slots=slots)


def required() -> tuple[str, ...]:
    """Cover points for the configuration."""
    config = configuration()
    lanes = ("both lanes",) if config.sparse_lanes and config.dense_depth else ()
    return (*(NATIVE_COVER if config.lane is Lane.NATIVE else DIGIT_COVER), *lanes)


COVER = Cover()


class Bench:
    """Drivers around the device, and the comparison."""

    def __init__(self, dut: Any, name: str, pauses: dict[str, float]) -> None:
        self.dut, self.config, self.name = dut, configuration(), name
        peg = ports_of(PEG(self.config))
        dut.clear.value = 0
        self.sources = sources(dut, peg, ("job", "left", "right", "init"), pauses)
        self.sink = sinks(dut, peg, ("result",), pauses)["result"]
        Watchdog([*self.sources.values(), self.sink], 5000)
        self.checker = Checker(f"peg/{name}")

    async def play(self, work: JobSet) -> None:
        """Send everything, take every result, compare with the law, count what was reached."""
        await start(self.dut)
        cocotb.start_soon(self._watch())
        left = work.left if self.config.lane is Lane.NATIVE else work.segments
        for stream, sent in (("job", work.job), ("left", left), ("right", work.right), ("init", work.init)):
            self.sources[stream].send(flat(beat) for beat in sent)
        await compare_rows(self.checker, self.sink, work.result, self.config.acc_bits)
        await RisingEdge(self.dut.clk)
        self._cover(work, {name: int(getattr(self.dut, f"counters_{name}").value) for name in COUNTERS})
        self.checker.finish()

    async def _watch(self) -> None:
        dut, refused = self.dut, 0
        while True:
            await RisingEdge(dut.clk)
            waits = dut.result_valid.value and not dut.result_ready.value
            refused = refused + 1 if waits else 0
            COVER.hit("drain under stall", waits)
            COVER.hit("result refused for 8 cycles", refused == 8)
            COVER.hit("init under stall", dut.init_ready.value and not dut.init_valid.value)
            COVER.hit("right slot waits for release", dut.right_valid.value and not dut.right_ready.value)
            COVER.hit("left refused", dut.left_valid.value and not dut.left_ready.value)

    def _cover(self, work: JobSet, counters: dict[str, int]) -> None:
        if self.config.sparse_lanes and self.config.dense_depth:
            COVER.hit("both lanes", counters["dense_issues"] and counters["sparse_issues"])
        COVER.hit("job waits for its right operand", counters["wait_job"])
        for job in work.job:
            COVER.hit("unemitted job", not job["emit"])
            COVER.hit("hold", job["init"] == 3)
            COVER.hit("transposed init", job["init"] == 2 and job["transposed"])
            COVER.hit("K = 1", job["k"] == 1)
        for size, times in work.sizes.items():
            COVER.hits[f"segment of {size} digits"] += times
        report("figures", {f"counters {self.name}": counters})
        assert counters["tiles"] == len(work.job), f"{counters['tiles']} tiles counted, {len(work.job)} jobs sent"
        if self.config.lane is Lane.DIGIT:
            assert counters["digits"] == work.digits, f"{counters['digits']} digits counted, {work.digits} sent"


async def _play(dut: Any, name: str, pauses: dict[str, float]) -> None:
    bench = Bench(dut, name, pauses)
    await bench.play(Generator(bench.config, f"{cocotb.RANDOM_SEED}/{name}", 48).make(bench_parameters()["slots"]))


@cocotb.test()
async def full_rate(dut: Any) -> None:
    """No stalls."""
    await _play(dut, "full_rate", {})


@cocotb.test()
async def stalls_everywhere(dut: Any) -> None:
    """Every stream rests in three of ten cycles."""
    await _play(dut, "stalls", dict.fromkeys(("job", "left", "right", "init", "result"), 0.3))


@cocotb.test()
async def slow_result(dut: Any) -> None:
    """Results are taken in one cycle of eight."""
    await _play(dut, "slow_result", {"result": 0.88, "init": 0.2})


@cocotb.test()
async def slow_init(dut: Any) -> None:
    """Inits come in one cycle of eight, right rows in every other one."""
    await _play(dut, "slow_init", {"init": 0.88, "right": 0.5})


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    COVER.required = required()
    COVER.finish()
