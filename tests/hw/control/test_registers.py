# SPDX-License-Identifier: Apache-2.0
import random
import subprocess
from pathlib import Path

import pytest

from hw.control.fault import Access, FaultKind
from hw.control.register_map import COUNTERS, MAGIC, REGISTERS, SPACE, c_header, counter_registers, markdown
from hw.control.registers import Registers
from verif.buses import Bench, Channel

COUNTED = {"digits": 32, "bytes": 48, "flag": 1}
OFFSET = {register.name: register.offset for register in (*REGISTERS, *counter_registers(COUNTED))}
OKAY, SLVERR = 0, 2
START, CLEAR, INTERRUPT = 1, 2, 4


class Host:
    """An AXI4-Lite master that rests at random; every response must stay until it is taken."""

    def __init__(self, dut, pause=0.0):
        self.dut, self.bus, self.pause, self.draw = dut, dut.bus, pause, random.Random(1)

    async def _rest(self, ctx):
        while self.draw.random() < self.pause:
            await ctx.tick()

    async def _offer(self, ctx, name, **fields):
        await self._rest(ctx)
        for field, value in fields.items():
            ctx.set(getattr(self.bus, f"{name}{field}"), value)
        ctx.set(getattr(self.bus, f"{name}valid"), 1)
        taken = False
        while not taken:
            *_, taken = await ctx.tick().sample(getattr(self.bus, f"{name}ready"))
        ctx.set(getattr(self.bus, f"{name}valid"), 0)

    async def _answer(self, ctx, name, fields):
        channel = Channel(self.bus, name, fields)
        while True:
            ready = self.draw.random() >= self.pause
            ctx.set(getattr(self.bus, f"{name}ready"), ready)
            _, _, *offered = await ctx.tick().sample(*channel.signals)
            if (answer := channel.check(offered, ready)) is not None:
                ctx.set(getattr(self.bus, f"{name}ready"), 0)
                return answer

    async def write(self, ctx, offset, value, strobes=15):
        """Address first, or data first."""
        halves = [("aw", {"addr": offset}), ("w", {"data": value, "strb": strobes})]
        self.draw.shuffle(halves)
        for name, fields in halves:
            await self._offer(ctx, name, **fields)
        (response,) = await self._answer(ctx, "b", ("resp",))
        return response

    async def read(self, ctx, offset):
        await self._offer(ctx, "ar", addr=offset)
        value, response = await self._answer(ctx, "r", ("data", "resp"))
        return value if response == OKAY else None

    async def named(self, ctx, name):
        return await self.read(ctx, OFFSET[name])

    async def status(self, ctx):
        value = await self.named(ctx, "status")
        return {"running": value & 1, "done": value >> 1 & 1, "refused": value >> 2 & 1,
                "kind": FaultKind(value >> 4 & 15), "access": Access(value >> 8 & 15), "tag": value >> 16}

    async def command(self, ctx, value):
        assert await self.write(ctx, OFFSET["control"], value) == OKAY


REST = {"running": 0, "done": 0, "refused": 0, "kind": FaultKind.NONE, "access": Access.NONE, "tag": 0}


def run(task, pause=0.0):
    dut = Registers(COUNTED)
    Bench(dut).run(task, dut, Host(dut, pause))


@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_every_register_reads_its_reset_and_unknown_ones_are_refused(pause):
    async def test(ctx, dut, host):
        ctx.set(dut.counters, {"digits": 7, "bytes": 0x123456789abc, "flag": 1})
        for register in REGISTERS:
            assert await host.read(ctx, register.offset + 3) == register.reset
        counted = [await host.named(ctx, name) for name in ("digits", "bytes_low", "bytes_high", "flag")]
        assert counted == [7, 0x56789abc, 0x1234, 1] and OFFSET["flag"] == COUNTERS + 12
        for offset in (0x2C, 0xFC, COUNTERS + 16, SPACE - 4):
            assert await host.read(ctx, offset) is None
            assert await host.write(ctx, offset, 0) == SLVERR

    run(test, pause)


@pytest.mark.parametrize("pause", [0.0, 0.6])
def test_only_what_is_writable_is_written_by_bytes(pause):
    async def test(ctx, dut, host):
        for register in REGISTERS:
            if register.access == "ro":
                assert await host.write(ctx, register.offset, 0xffffffff) == SLVERR
                assert await host.read(ctx, register.offset) == register.reset
        assert await host.write(ctx, OFFSET["length"], 0x11223344, 0b0101) == OKAY
        assert await host.write(ctx, OFFSET["length"], 0xaabbccdd, 0b1000) == OKAY
        assert await host.named(ctx, "length") == 0xaa220044 == ctx.get(dut.length)
        await host.write(ctx, OFFSET["program_low"], 0xffffffff)
        await host.write(ctx, OFFSET["program_high"], 0x12345678)
        assert await host.named(ctx, "program_low") == 0xffffffc0
        assert ctx.get(dut.address) == 0x12345678ffffffc0
        await host.command(ctx, INTERRUPT)
        assert await host.named(ctx, "control") == INTERRUPT and not ctx.get(dut.interrupt)

    run(test, pause)


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def started(ctx, dut, host, value=START | INTERRUPT):
    """Writes control; the number of cycles in which `start` and `clear` were high."""
    seen = {"start": 0, "clear": 0}
    await host._offer(ctx, "aw", addr=OFFSET["control"])
    await host._offer(ctx, "w", data=value, strb=1)
    ctx.set(dut.bus.bready, 1)
    for _ in range(8):
        for name in seen:
            seen[name] += ctx.get(getattr(dut, name))
        await ctx.tick()
    ctx.set(dut.bus.bready, 0)
    return seen


def test_a_program_runs_to_its_end_and_interrupts():
    async def test(ctx, dut, host):
        for _ in range(2):
            assert await started(ctx, dut, host) == {"start": 1, "clear": 0}
            assert await host.status(ctx) == {**REST, "running": 1} and not ctx.get(dut.interrupt)
            await ctx.tick().repeat(100)
            ctx.set(dut.finished, 1)
            assert (await host.status(ctx))["running"]             # something is still under way
            await pulse(ctx, dut.idle)
            ctx.set(dut.finished, 0)
            assert await host.status(ctx) == {**REST, "done": 1}
            assert ctx.get(dut.interrupt) and not ctx.get(dut.stop)
            assert 105 < await host.named(ctx, "cycles_low") < 125 and await host.named(ctx, "cycles_high") == 0
        assert await started(ctx, dut, host, CLEAR) == {"start": 0, "clear": 0}
        assert await host.status(ctx) == REST and not ctx.get(dut.interrupt)

    run(test)


def test_a_start_while_running_is_ignored_and_reported():
    async def test(ctx, dut, host):
        await started(ctx, dut, host)
        assert await started(ctx, dut, host) == {"start": 0, "clear": 0}
        assert await host.status(ctx) == {**REST, "running": 1, "refused": 1}
        ctx.set(dut.idle, 1)
        await pulse(ctx, dut.finished)
        assert await host.status(ctx) == {**REST, "done": 1, "refused": 1}
        await host.command(ctx, CLEAR)
        assert await host.status(ctx) == REST

    run(test)


def test_a_fault_brings_the_machine_to_rest_and_is_kept_until_cleared():
    async def test(ctx, dut, host):
        await started(ctx, dut, host)
        fault = {"kind": FaultKind.DECERR, "access": Access.STORE, "address": 0xfedcba9876543210}
        ctx.set(dut.fault, fault)
        ctx.set(dut.tag, 77)
        await ctx.tick()
        ctx.set(dut.fault, {"kind": FaultKind.TOKEN, "access": Access.LOAD, "address": 0})
        await ctx.tick()
        shown = {**REST, "kind": FaultKind.DECERR, "access": Access.STORE, "tag": 77}
        assert ctx.get(dut.stop)
        assert await host.status(ctx) == {**shown, "running": 1} and not ctx.get(dut.interrupt)
        ctx.set(dut.idle, 1)
        await ctx.tick()
        assert await host.status(ctx) == shown and ctx.get(dut.interrupt) and ctx.get(dut.stop)
        assert await host.named(ctx, "fault_low") == 0x76543210
        assert await host.named(ctx, "fault_high") == 0xfedcba98
        assert await started(ctx, dut, host) == {"start": 0, "clear": 0}
        assert await host.status(ctx) == {**shown, "refused": 1}
        assert await started(ctx, dut, host, CLEAR | INTERRUPT) == {"start": 0, "clear": 1}
        ctx.set(dut.fault, {"kind": FaultKind.NONE})
        assert await host.status(ctx) == REST and not ctx.get(dut.stop) and not ctx.get(dut.interrupt)
        assert await started(ctx, dut, host) == {"start": 1, "clear": 0}

    run(test)


def test_a_clear_while_running_ends_the_program():
    async def test(ctx, dut, host):
        await started(ctx, dut, host)
        assert await started(ctx, dut, host, CLEAR | INTERRUPT) == {"start": 0, "clear": 0}
        assert ctx.get(dut.stop) and (await host.status(ctx))["running"]
        ctx.set(dut.idle, 1)
        cleared = 0
        for _ in range(6):
            cleared += ctx.get(dut.clear)
            await ctx.tick()
        assert cleared == 1 and await host.status(ctx) == REST and not ctx.get(dut.interrupt)

    run(test)


def test_the_map_has_room_and_no_overlap():
    offsets = [register.offset for register in (*REGISTERS, *counter_registers(COUNTED))]
    assert len(set(offsets)) == len(offsets) and max(offsets) < SPACE and all(offset % 4 == 0 for offset in offsets)
    assert max(register.offset for register in REGISTERS) < COUNTERS
    assert MAGIC.to_bytes(4, "little") == b"VIDA"
    with pytest.raises(ValueError, match="1000 counter registers, at most 960 fit"):
        counter_registers({f"c{n}": 32 for n in range(1000)})


def test_the_page_is_what_the_definition_gives():
    page = Path(__file__).parents[3] / "docs" / "registers.md"
    assert page.read_text() == markdown(), "python -m hw.control.register_map > docs/registers.md"


def test_the_header_is_c(tmp_path):
    header = c_header(COUNTED)
    for name, offset in OFFSET.items():
        assert f"#define VIDA_REG_{name.upper()} 0x{offset:03x}u\n" in header
    assert "#define VIDA_STATUS_KIND_MASK 0x000000f0u\n" in header and "#define VIDA_FAULT_DECERR 3\n" in header
    (tmp_path / "registers.h").write_text(header)
    try:
        subprocess.run(["cc", "-fsyntax-only", "-Wall", "-Werror", tmp_path / "registers.h"], check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
