# SPDX-License-Identifier: Apache-2.0
"""Bench of the difference encoder: every beat against the law, under random stalls on both sides."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import cocotb
import torch
from cocotb.triggers import RisingEdge

from hw.config import TILE, MachineConfig
from hw.encode.encoder import Encoder
from model.exact.encode.encoder import Segment, beats
from verif.checks import Checker, Cover, report
from verif.digits import digit_of
from verif.drivers import Watchdog, start
from verif.harness import configuration, ports_of, run_block, sinks, sources
from verif.jobs import KINDS, left_beats, panel_of
from verif.simulator import BenchResult

#: Differences at which digits change: the ninth bit, -8 and 8 in either plane.
CORNERS = (255, -255, 128, -128, -129, 127, 136, 8, -8, -9, 0)
cover = Cover(*(f"segment of {n} digits" for n in range(1, TILE + 1)), "beat without a segment",
              "several beats for one scan", "four segments of a column", "zero digit issued", "K = 1",
              "K no multiple of the scan", *(f"difference of {corner}" for corner in CORNERS), "operand -128",
              "nothing skipped", "left refused", "segments under stall")


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build the encoder of `config` and run all of this bench on it."""
    return run_block(Encoder, __name__, workdir, config, seed=seed, coverage=coverage)


def panels(config: MachineConfig, name: str, count: int) -> list[tuple[torch.Tensor, torch.Tensor, bool]]:
    """(current, reference, skip) of random panels of all kinds and lengths."""
    draw = random.Random(f"{cocotb.RANDOM_SEED}/{name}")
    generator = torch.Generator().manual_seed(draw.getrandbits(31))
    lengths = (1, 2, config.scan, config.scan + 1, 2 * config.scan - 1, config.right_rows)
    return [(*panel_of(draw.choice(KINDS), draw.choice(lengths), generator), draw.random() > 0.2)
            for _ in range(count)]


def segment_of(segment: Segment | None) -> list[int]:
    """valid, k, plane, rows, four digits; an empty slot is all zero."""
    return [0] * 8 if segment is None else [1, segment.k, segment.plane, segment.rows, *segment.digits]


def slot_of(beat: dict[str, Any], slot: int) -> list[int]:
    """The same from a received beat."""
    name = f"slot{slot}_"
    if not beat[f"{name}valid"]:
        return [0] * 8
    return [1, beat[f"{name}k"], beat[f"{name}plane"], beat[f"{name}rows"], *map(digit_of, beat[f"{name}digit"])]


async def _play(dut: Any, name: str, pause_in: float, pause_out: float, count: int = 120) -> tuple[int, int, int]:
    """Returns (beats of the law, cycles from the first to the last of them, latency)."""
    config = configuration()
    encoder, checker = ports_of(Encoder(config)), Checker(f"encoder/{name}")
    source = sources(dut, encoder, ("left",), {"left": pause_in})["left"]
    sink = sinks(dut, encoder, ("segments",), {"segments": pause_out})["segments"]
    Watchdog([source, sink], 2000)
    await start(dut)
    cocotb.start_soon(_watch(dut))
    work, number = panels(config, name, count), 0
    for current, reference, skip in work:
        source.send(left_beats(current, reference, config, skip))
    for p, (current, reference, skip) in enumerate(work):
        law = beats(current, reference, config, skip)
        number += len(law)
        for b, beat in enumerate(law):
            (got,) = await sink.receive(1)
            checker.check(f"panel {p} beat {b} last", got["last"], int(b + 1 == len(law)))
            for slot, segment in enumerate(beat):
                checker.check(f"panel {p} beat {b} slot {slot}", slot_of(got, slot), segment_of(segment), 16)
        _cover(current, reference, skip, law, config)
    checker.finish()
    return number, sink.last - sink.first + 1, sink.first - source.first


async def _watch(dut: Any) -> None:
    while True:
        await RisingEdge(dut.clk)
        cover.hit("left refused", dut.left_valid.value and not dut.left_ready.value)
        cover.hit("segments under stall", dut.segments_valid.value and not dut.segments_ready.value)


def _cover(current, reference, skip: bool, law, config: MachineConfig) -> None:
    length, difference = current.shape[1], current - reference
    cover.hit("K = 1", length == 1)
    cover.hit("K no multiple of the scan", length % config.scan)
    for corner in CORNERS:
        cover.hit(f"difference of {corner}", (difference == corner).any())
    cover.hit("operand -128", (current == -128).any())
    cover.hit("nothing skipped", not skip)
    cover.hit("several beats for one scan", len(law) > -(-length // config.scan))
    for beat in law:
        cover.hit("beat without a segment", not any(beat))
        for segment in filter(None, beat):
            cover.hit(f"segment of {segment.count} digits")
            cover.hit("zero digit issued", segment.count > sum(map(bool, segment.digits)))
    columns = Counter(segment.k for beat in law for segment in beat if segment)
    cover.hit("four segments of a column", max(columns.values(), default=0) == 4)


@cocotb.test()
async def full_rate(dut: Any) -> None:
    """Without stalls a beat of the law leaves in every cycle, the first after the stated latency."""
    number, cycles, latency = await _play(dut, "full_rate", 0.0, 0.0)
    report("figures", {"beats": number, "cycles": cycles, "latency": latency})
    assert cycles == number, f"{number} beats took {cycles} cycles"
    assert latency == Encoder.latency, f"latency is {latency}, stated {Encoder.latency}"


@cocotb.test()
async def stalls(dut: Any) -> None:
    """Both sides rest at random."""
    await _play(dut, "stalls", 0.3, 0.5)


@cocotb.test()
async def slow_segments(dut: Any) -> None:
    """Segments are taken in one cycle of six."""
    await _play(dut, "slow_segments", 0.0, 0.83, 60)


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    cover.finish()
