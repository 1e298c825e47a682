# SPDX-License-Identifier: Apache-2.0
"""Bench of the DMA with the global buffer behind it: random transfers from cocotbext-axi's memory and back."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from cocotb.triggers import RisingEdge

from hw.config import MachineConfig
from hw.control.fault import Access, Fault, FaultKind
from hw.memory.axi import PAGE, axi_signature
from hw.memory.buffer import Buffer
from hw.memory.dma import Dma
from hw.memory.rows import TransferLayout
from model.exact.memory.transfer import Transfer
from verif.axi_ram import Ram
from verif.checks import Checker, Cover, report
from verif.drivers import Source, start, stream_of
from verif.harness import configuration, ports_of, run_block
from verif.simulator import BenchResult
from verif.transfers import command, random_transfer, table_lines

#: Bytes of memory used, the longest wait for anything, and the rounds of a test.
SIZE, PATIENCE, ROUNDS = 1 << 15, 20_000, 12
POINTS = ("AR waits", "R waits", "AW waits", "W waits", "B waits", "burst at the end of a page", "load by a table",
          "store by a table", "load of nothing", "store of nothing", "bus error of a load", "bus error of a store")
COVER = Cover()


def points(config: MachineConfig) -> tuple[str, ...]:
    """What a run must have seen: on a bus narrower than a line no beat is partial, and no burst has only one."""
    whole, part = config.bus_bytes >= config.line_bytes, config.bus_bytes > config.line_bytes
    return (*POINTS, *(("burst of one beat",) if whole else ()), *(("partial beat",) if part else ()))


class Mover(Component):
    """The device: DMA and buffer, no fetch."""

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        move = stream.Signature(TransferLayout)
        super().__init__({
            "load": In(move), "store": In(move), "load_done": Out(1), "store_done": Out(1), "clear": In(1),
            "busy": Out(1), "fault": Out(Fault), "bus": Out(axi_signature(config.bus_bytes))})

    def elaborate(self, platform: Any) -> Module:
        """DMA and buffer, joined."""
        m = Module()
        m.submodules.dma = dma = Dma(self._config)
        m.submodules.buffer = buffer = Buffer(self._config, readers=1, writers=1)
        connect(m, dma.request, buffer.request[0])
        connect(m, buffer.data[0], dma.data)
        connect(m, dma.write, buffer.write[0])
        connect(m, flipped(self.load), dma.load)
        connect(m, flipped(self.store), dma.store)
        connect(m, dma.bus, flipped(self.bus))
        m.d.comb += [self.load_done.eq(dma.load_done), self.store_done.eq(dma.store_done), self.busy.eq(dma.busy),
                     self.fault.eq(dma.fault), dma.clear.eq(self.clear)]
        return m


def run(workdir: Path, config: MachineConfig, *, seed: int = 1, coverage: bool = False) -> BenchResult:
    """Build DMA and buffer of `config` and run all of this bench on them."""
    return run_block(Mover, __name__, workdir, config, seed=seed, coverage=coverage)


class Bench:
    """Drivers around the device, the law's memory and buffer, and the rules of the bus."""

    def __init__(self, dut: Any, name: str, pause: float) -> None:
        self.dut, self.config = dut, configuration()
        self.draw = random.Random(f"{cocotb.RANDOM_SEED}/{name}")
        dut.clear.value = 0
        mover = ports_of(Mover(self.config))
        self.sources = {side: Source(dut, *stream_of(mover, getattr(mover, side)), pause) for side in ("load", "store")}
        self.ram = Ram(dut, "bus", SIZE, pause, self.draw)
        self.done = {"load": 0, "store": 0}
        self.lines = [0] * (self.config.buffers * self.config.buffer_lines)
        self.checker = Checker(f"dma/{name}")

    async def begin(self) -> None:
        """Reset; fill memory with random bytes, and the whole buffer from it."""
        self.ram.write(0, self.draw.randbytes(SIZE))
        await start(self.dut)
        cocotb.start_soon(self._watch())
        line, many = self.config.line_bytes, SIZE // self.config.line_bytes
        fills = [Transfer(0, 0, 1, min(many, len(self.lines) - at), at, 0) for at in range(0, len(self.lines), many)]
        await self.move("load", fills, 0)
        assert all(self.lines[n] == self._at(n % many * line) for n in range(len(self.lines)))

    def _at(self, address: int) -> int:
        return int.from_bytes(self.ram.read(address, self.config.line_bytes), "little")

    async def move(self, side: str, transfers: list[Transfer], table: int) -> None:
        """Carry out loads, or stores, in the device and in the law's buffer; compare what a store leaves in memory."""
        line, before = self.config.line_bytes, self.done[side]
        want = {}
        for transfer in transfers:
            COVER.hit(f"{side} by a table", transfer.indices and transfer.lines and transfer.rows)
            COVER.hit(f"{side} of nothing", not transfer.lines * transfer.rows)
            for dram, place in transfer.moves(line):
                if side == "load":
                    self.lines[place] = self._at(dram)
                else:
                    want[dram] = self.lines[place]
        self.sources[side].send(command(transfer, table) for transfer in transfers)
        await self.until(lambda: self.done[side] == before + len(transfers), f"{len(transfers)} {side}s")
        for dram, value in want.items():
            self.checker.check(f"{dram:#x}", self._at(dram), value, 8 * line)

    async def until(self, condition: Any, what: str) -> None:
        """Wait for `condition`; AssertionError after PATIENCE cycles."""
        for _ in range(PATIENCE):
            if condition():
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"watchdog: {what} not done in {PATIENCE} cycles")

    async def _watch(self) -> None:
        """Count what is done; hold every channel to its rules."""
        dut, offered = self.dut, {}
        names = {"ar": ("addr", "len"), "aw": ("addr", "len"), "w": ("data", "strb", "last")}
        ports = {name: [getattr(dut, f"bus_{name}{field}") for field in fields] for name, fields in names.items()}
        while True:
            await RisingEdge(dut.clk)
            for side in self.done:
                self.done[side] += int(getattr(dut, f"{side}_done").value)
            for name, fields in ports.items():
                valid, ready = (int(getattr(dut, f"bus_{name}{end}").value) for end in ("valid", "ready"))
                beat = tuple(int(field.value) for field in fields) if valid else None
                assert offered.get(name) in (None, beat), f"bus {name}: untaken beat withdrawn or changed"
                offered[name] = None if ready else beat
                COVER.hit(f"{name.upper()} waits", valid and not ready)
                if valid and ready:
                    self._look(name, *beat)
            for name in ("r", "b"):
                waits = getattr(dut, f"bus_{name}ready").value and not getattr(dut, f"bus_{name}valid").value
                COVER.hit(f"{name.upper()} waits", waits and dut.busy.value)

    def _look(self, name: str, address: int, length: int, *_last: int) -> None:
        width, line = self.config.bus_bytes, self.config.line_bytes
        if name == "w":
            partial = length not in (0, (1 << width) - 1)
            assert not partial or width > line, f"strobes {length:#x} of a beat that a line fills"
            if width > line:
                COVER.hit("partial beat", partial)
            return
        end = address + (length + 1) * width
        assert address % width == 0 and address // PAGE == (end - 1) // PAGE, f"burst {address:#x}..{end:#x}"
        if width >= line:
            COVER.hit("burst of one beat", length == 0)
        else:
            assert (length + 1) * width % line == 0, f"burst of {length + 1} beats holds a part of a line"
        COVER.hit("burst at the end of a page", end % PAGE == 0)


async def _play(dut: Any, name: str, pause: float) -> None:
    """Rounds of loads at random, then stores of what the law says now lies in the buffer."""
    bench = Bench(dut, name, pause)
    await bench.begin()
    draw, config = bench.draw, bench.config
    for _ in range(ROUNDS):
        indices = [draw.randrange(8) for _ in range(draw.choice((5, 8)))]
        entries = table_lines(indices, config)
        table = len(bench.lines) - len(entries)
        for n, entry in enumerate(entries):
            bench.ram.write(n * config.line_bytes, entry.to_bytes(config.line_bytes, "little"))
        await bench.move("load", [Transfer(0, 0, 1, len(entries), table, 0)], 0)
        for side in ("load", "store"):
            top = min(table, 400)
            await bench.move(side, [random_transfer(draw, config, SIZE, top, indices) for _ in range(6)], table)
    bench.checker.finish()


@cocotb.test()
async def full_rate(dut: Any) -> None:
    """A memory that never rests."""
    await _play(dut, "full_rate", 0.0)


@cocotb.test()
async def stalls_everywhere(dut: Any) -> None:
    """Commands and every channel of the bus rest in half of the cycles."""
    await _play(dut, "stalls", 0.5)


@cocotb.test()
async def bus_errors(dut: Any) -> None:
    """Loads and stores that meet a bad address: reported, drained, and all is well after a clear."""
    bench = Bench(dut, "errors", 0.3)
    await bench.begin()
    line, window = bench.config.line_bytes, 16 * bench.config.bus_bytes
    lines = min(SIZE // line, len(bench.lines))
    for n in range(10):
        side, access = (("load", Access.LOAD), ("store", Access.STORE))[n % 2]
        bad = bench.draw.randrange(lines * line // window) * window
        bench.ram.bad = {bad}
        bench.sources[side].send([command(Transfer(0, 0, 1, lines, 0, 0), 0)])
        await bench.until(lambda: int(dut.fault_kind.value), "a fault")
        await bench.until(lambda: not int(dut.busy.value), "rest")
        found = tuple(int(getattr(dut, f"fault_{name}").value) for name in ("kind", "access", "address"))
        for index, (got, want) in enumerate(zip(found, (FaultKind.SLVERR.value, access.value, bad), strict=True)):
            bench.checker.check(f"error {n}, field {index}", got, want)
        COVER.hit(f"bus error of a {side}")
        bench.ram.bad = set()
        dut.clear.value = 1
        await RisingEdge(dut.clk)
        dut.clear.value = 0
        await RisingEdge(dut.clk)
        await bench.move("load", [Transfer(0, 0, 1, 9, 0, 0)], 0)
        await bench.move("store", [Transfer(PAGE, 0, 1, 9, 0, 0)], 0)
    bench.checker.finish()


@cocotb.test()
async def throughput(dut: Any) -> None:
    """A beat a cycle, but for the latency of the memory's model."""
    bench = Bench(dut, "throughput", 0.0)
    await bench.begin()
    lines = min(SIZE // bench.config.line_bytes, len(bench.lines))
    beats = lines * bench.config.line_bytes // bench.config.bus_bytes
    figures = {}
    for side in ("load", "store"):
        begun = cocotb.simtime.get_sim_time("ns")
        await bench.move(side, [Transfer(0, 0, 1, lines, 0, 0)], 0)
        figures[f"cycles of a {side} of {beats} beats"] = (cocotb.simtime.get_sim_time("ns") - begun) / 10
    report("figures", figures)


@cocotb.test()
async def cover_points(dut: Any) -> None:
    """The tests above reached every named point."""
    COVER.required = points(configuration())
    COVER.finish()
