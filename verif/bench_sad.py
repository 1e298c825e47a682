# SPDX-License-Identifier: Apache-2.0
"""Bench of the SAD encoding unit: captured tokens against the frame before, random and corner tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cocotb
import torch
from cocotb.triggers import RisingEdge

from hw.config import load_config
from hw.encode.sad import SadUnit
from hw.verilog import to_verilog
from model import vectors
from model.exact.encode.sad import sad
from verif.checks import Checker, Cover, report
from verif.drivers import Sink, Source, Watchdog, start, stream_of
from verif.simulator import BenchResult, bench_parameters, build, run_bench

DIMENSION_MAX = 512
CANDIDATES_MAX = 64

cover = Cover("padded lanes", "one pass", "several passes", "one candidate", "last index", "tie",
              "largest sum", "threshold met exactly", "informative", "copied",
              "beat waits behind a refused result")


def make_unit(lanes: int) -> SadUnit:
    """The device: `lanes` elements a cycle, tokens of up to DIMENSION_MAX elements."""
    return SadUnit(load_config("tiny").replace(sad_lanes=lanes), dimension_max=DIMENSION_MAX,
                   candidates_max=CANDIDATES_MAX)


def run(workdir: Path, *, lanes: int = 16, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the unit and run all of this bench on it."""
    verilog, _ = to_verilog(make_unit(lanes), "sad_unit")
    simulator = build(verilog, "sad_unit", coverage=coverage)
    return run_bench(simulator, __name__, workdir=workdir, parameters={"lanes": lanes}, seed=seed)


class Search(NamedTuple):
    """One token to be looked up: d values, n candidates of d values, threshold."""

    token: list[int]
    candidates: list[list[int]]
    threshold: int

    def law(self) -> tuple[int, int, int]:
        """Minimum, index, informative."""
        result = sad(torch.tensor(self.token), torch.tensor(self.candidates), self.threshold)
        minimum, index, informative = (int(part) for part in result)
        return minimum, index, informative

    def beats(self, lanes: int, rng: random.Random) -> Iterator[dict[str, Any]]:
        """All passes of all candidates; padded lanes and unread thresholds hold noise."""
        for n, candidate in enumerate(self.candidates):
            for low in range(0, len(self.token), lanes):
                count = min(lanes, len(self.token) - low)
                last = low + count == len(self.token)
                noise = [rng.randrange(-128, 128) for _ in range(lanes - count)]
                yield {"token": self.token[low:low + count] + noise,
                       "candidate": candidate[low:low + count] + noise[::-1],
                       "count": count, "last_pass": last,
                       "last_candidate": n == len(self.candidates) - 1 if last else rng.randrange(2),
                       "threshold": self.threshold if last else rng.randrange(255 * DIMENSION_MAX)}


class Bench:
    """Drivers around the device, and the comparison."""

    def __init__(self, dut: Any, name: str, pause_in: float, pause_out: float) -> None:
        self.dut, self.lanes = dut, bench_parameters()["lanes"]
        self.unit = make_unit(self.lanes)
        self.rng = random.Random(f"{cocotb.RANDOM_SEED}/{name}")
        self.source = Source(dut, *stream_of(self.unit, self.unit.beats), pause_in)
        self.sink = Sink(dut, *stream_of(self.unit, self.unit.result), pause_out)
        Watchdog([self.source, self.sink], 2000)
        self.checker = Checker(f"sad_unit/{name}")

    async def search(self, work: list[Search]) -> None:
        """Send everything, take every result, compare with the law, count what was reached."""
        await start(self.dut)
        cocotb.start_soon(self._watch_stalls())
        for item in work:
            self.source.send(item.beats(self.lanes, self.rng))
        for i, item in enumerate(work):
            (got,), want = await self.sink.receive(1), item.law()
            for field, value in zip(("minimum", "index", "informative"), want, strict=True):
                self.checker.check(f"token {i} {field}", got[field], value)
            self._cover(item, *want)
        self.checker.finish()

    async def _watch_stalls(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            if self.dut.result_valid.value and not self.dut.result_ready.value:
                cover.hit("beat waits behind a refused result", self.dut.beats_valid.value)

    def _cover(self, item: Search, minimum: int, index: int, informative: int) -> None:
        dimension = len(item.token)
        cover.hit("padded lanes", dimension % self.lanes)
        cover.hit("one pass", dimension <= self.lanes)
        cover.hit("several passes", dimension > self.lanes)
        cover.hit("one candidate", len(item.candidates) == 1)
        cover.hit("last index", index == CANDIDATES_MAX - 1)
        cover.hit("tie", item.candidates.count(item.candidates[index]) > 1)
        cover.hit("largest sum", minimum == 255 * DIMENSION_MAX)
        cover.hit("threshold met exactly", minimum == item.threshold)
        cover.hit("informative" if informative else "copied")


def captured_tokens(rng: random.Random, count: int) -> list[Search]:
    """Left operands of linear layers, each token against the whole frame before; a median threshold."""
    work = []
    for entry in vectors.read():
        if (entry.reference_kind, entry.product) != ("frame", "single"):
            continue
        minima, _, _ = sad(entry.current, entry.reference, 0)
        threshold = int(minima.median())
        for i in sorted(rng.sample(range(len(entry.current)), min(count, len(entry.current)))):
            work.append(Search(entry.current[i].tolist(), entry.reference.tolist(), threshold))
    return work


def corner_tokens(lanes: int) -> list[Search]:
    """Largest and smallest sums, ties, a single element, widths around the lanes, thresholds met exactly."""
    lowest, highest, largest = [-128] * DIMENSION_MAX, [127] * DIMENSION_MAX, 255 * DIMENSION_MAX
    work = [Search(lowest, [highest] * CANDIDATES_MAX, largest), Search(highest, [lowest], largest + 1),
            Search([-128], [[127]], 255), Search([127], [[-128]], 256), Search([0], [[0]], 0),
            Search([0] * 5, [[7] * 5] * (CANDIDATES_MAX - 1) + [[1] * 5], 6)]
    for dimension in (1, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 1):
        near, far = [3] * (dimension - 1) + [4], [9] * dimension
        work += [Search([3] * dimension, [far, near, near, far], threshold) for threshold in (0, 1, 2)]
    return work


def random_tokens(rng: random.Random, count: int) -> list[Search]:
    """Tokens of any width with any number of candidates, from nearly equal to unrelated."""
    work = []
    for _ in range(count):
        token = [rng.randrange(-128, 128) for _ in range(rng.randint(1, 100))]
        span = rng.choice((1, 8, 255))
        candidates = [[max(-128, min(127, value + rng.randint(-span, span))) for value in token]
                      for _ in range(rng.randint(1, 20))]
        work.append(Search(token, candidates, rng.randrange(1 + span * len(token))))
    return work


@cocotb.test()
async def captured(dut: Any) -> None:
    """Tokens of the trained network, light stalls."""
    bench = Bench(dut, "captured", 0.1, 0.5)
    await bench.search(captured_tokens(bench.rng, 16))


@cocotb.test()
async def corners_and_random(dut: Any) -> None:
    """Everything a network rarely gives, heavy stalls."""
    bench = Bench(dut, "random", 0.3, 0.8)
    await bench.search(corner_tokens(bench.lanes) + random_tokens(bench.rng, 150))


@cocotb.test()
async def refused_results(dut: Any) -> None:
    """One-beat tokens, so that nearly every cycle has a result that must wait."""
    bench = Bench(dut, "refused", 0.0, 0.7)
    await bench.search([Search([value], [[0]], 20) for value in range(-128, 128)])


@cocotb.test()
async def full_rate(dut: Any) -> None:
    """Without stalls a beat goes in every cycle, and the last result follows after the stated latency."""
    bench = Bench(dut, "rate", 0.0, 0.0)
    work = random_tokens(bench.rng, 40)
    await bench.search(work)
    beats = [-(-len(item.token) // bench.lanes) * len(item.candidates) for item in work]
    cycles = bench.source.last - bench.source.first + 1
    latency = bench.sink.last - bench.source.last
    report("figures", {"beats": sum(beats), "cycles": cycles, "latency": latency})
    assert cycles == sum(beats), f"{sum(beats)} beats took {cycles} cycles"
    assert latency == bench.unit.latency, f"latency is {latency}, stated {bench.unit.latency}"


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    cover.finish()
