# SPDX-License-Identifier: Apache-2.0
from amaranth.sim import Simulator

from hw.encode.magnitude import Magnitude

CORNERS = (-128, -127, -17, -16, -15, -1, 0, 1, 15, 16, 17, 126, 127)


def test_every_corner_pair_and_every_difference():
    dut = Magnitude()
    pairs = [(a, b) for a in CORNERS for b in CORNERS]
    pairs += [(-128, -128 + d) for d in range(256)] + [(127, 127 - d) for d in range(256)]
    assert {a - b for a, b in pairs} == set(range(-255, 256))

    async def bench(ctx):
        for current, reference in pairs:
            ctx.set(dut.current, current)
            ctx.set(dut.reference, reference)
            await ctx.delay(1e-9)
            difference = current - reference
            assert ctx.get(dut.sign) == (difference < 0), (current, reference)
            assert ctx.get(dut.magnitude) == abs(difference), (current, reference)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
