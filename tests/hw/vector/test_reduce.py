# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.sim import Simulator

from hw.vector.reduce import Reduce, add, larger


@pytest.mark.parametrize("lanes", [1, 2, 5, 8])
@pytest.mark.parametrize("operation, whole", [(add, sum), (larger, max)])
def test_rows_of_any_length_with_gaps(lanes, operation, whole):
    dut, draw = Reduce(operation, 16, lanes, 28), random.Random(lanes)
    rows = [[[draw.choice((-32768, 32767, draw.randint(-32768, 32767))) for _ in range(lanes)]
             for _ in range(draw.randint(1, 4))] for _ in range(40)]
    beats = [(beat, n + 1 == len(row)) for row in rows for n, beat in enumerate(row)]
    got = []

    async def bench(ctx):
        for _ in range(len(beats) * 4):
            if not beats and len(got) == len(rows):
                break
            advance, valid = draw.random() < 0.7, bool(beats) and draw.random() < 0.8
            if valid:
                ctx.set(dut.value, beats[0][0])
                ctx.set(dut.last, beats[0][1])
            ctx.set(dut.valid, valid)
            ctx.set(dut.advance, advance)
            *_, done, total = await ctx.tick().sample(dut.done, dut.total)
            if advance and done:
                got.append(total)
            if advance and valid:
                beats.pop(0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == [whole(value for beat in row for value in beat) for row in rows]
    assert dut.latency == {1: 1, 2: 2, 5: 4, 8: 4}[lanes]


@pytest.mark.parametrize("bits, value, count, total_bits", [
    (16, -32768, 4096, 28), (16, 32767, 4096, 28), (16, 127, 8192, 28), (32, 1 << 30, 4096, 44)])
def test_widest_rows_fit(bits, value, count, total_bits):
    """S1, S2 and the row sum of probabilities at the largest magnitude of a row."""
    dut, lanes = Reduce(add, bits, 16, total_bits), 16

    async def bench(ctx):
        ctx.set(dut.advance, 1)
        ctx.set(dut.value, [value] * lanes)
        ctx.set(dut.valid, 1)
        for n in range(count // lanes):
            ctx.set(dut.last, n + 1 == count // lanes)
            await ctx.tick()
        ctx.set(dut.valid, 0)
        for _ in range(dut.latency - 1):
            await ctx.tick()
        assert ctx.get(dut.done) and ctx.get(dut.total) == value * count

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
