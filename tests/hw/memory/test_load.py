# SPDX-License-Identifier: Apache-2.0
"""What is `Load`'s alone; the rest is in `test_mover`."""

import pytest

from hw.control.fault import Access, FaultKind
from hw.memory.load import Load
from model.exact.memory.transfer import Transfer


def test_done_comes_with_the_last_line_not_before(mover):
    it = mover(Load, 16, 2, 0.5)
    first, second = Transfer(0, 256, 3, 4, 0, 10), Transfer(512, 32, 1, 9, 100, 0)

    async def test(ctx):
        await it.send(ctx, first, second)
        await it.finished(ctx, 1)
        want = it.after(first)
        assert all(it.buffer.lines[place] == want[place] for _, place in first.moves(32))
        await it.finished(ctx, 2)
        assert it.contents == it.after(second)

    it.run(test)


@pytest.mark.parametrize("bus_bytes, ccpes", [(8, 8), (32, 2), (64, 1)])
@pytest.mark.parametrize("response", [FaultKind.SLVERR, FaultKind.DECERR])
def test_a_bus_error_ends_all_and_clear_begins_anew(bus_bytes, ccpes, response, mover):
    it = mover(Load, bus_bytes, ccpes, 0.3)
    line, window = it.config.line_bytes, 16 * bus_bytes
    it.ram.bad = {4096 + 5 * bus_bytes: response.value}
    good, bad = Transfer(0, 0, 1, 1, 0, 0), Transfer(4096 - 2 * line, 64 * line, 3, 2048 // line, 10, 9)
    want = it.after(good)

    async def test(ctx):
        await it.send(ctx, good, bad)
        while ctx.get(it.dut.fault.kind) == FaultKind.NONE:
            await ctx.tick()
        await ctx.tick().until(~it.dut.busy)
        fault = ctx.get(it.dut.fault)
        assert fault.kind == response and fault.access == Access.LOAD
        assert fault.address == (4096 + 5 * bus_bytes) // window * window
        assert it.pulses == 1 and not ctx.get(it.dut.command.ready) and it.contents[:10] == want[:10]
        await it.pulse(ctx, it.dut.clear)
        again, before = Transfer(8192, 0, 1, 3, 20, 0), it.contents
        await it.send(ctx, again)
        await it.finished(ctx, 2)
        assert it.contents == it.after(again) != before

    it.run(test)
