# SPDX-License-Identifier: Apache-2.0
"""What is `Store`'s alone; the rest is in `test_mover`."""

import pytest

from hw.control.fault import Access, FaultKind
from hw.memory.store import Store
from model.exact.memory.transfer import Transfer


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_done_comes_with_the_last_response_in_order(pause, mover):
    it = mover(Store, 16, 2, pause)
    nothing = Transfer(0, 0, 0, 0, 0, 0)
    transfers = [nothing, Transfer(0, 256, 3, 4, 0, 10), nothing, nothing, Transfer(4096, 32, 1, 9, 100, 0), nothing]
    it.ram.delay = 30
    want = it.after(*transfers)
    it.serve(it.send, *transfers)

    async def test(ctx):
        for number, transfer in enumerate(transfers):
            await it.finished(ctx, number + 1)
            assert all(it.ram.at(dram, 32) == want[dram:dram + 32] for dram, _ in transfer.moves(32))
            assert number or not it.ram.writes

    it.run(test)
    assert it.pulses == 6


@pytest.mark.parametrize("bus_bytes, ccpes", [(8, 8), (32, 2), (64, 1)])
@pytest.mark.parametrize("response", [FaultKind.SLVERR, FaultKind.DECERR])
def test_a_bus_error_ends_all_and_clear_begins_anew(bus_bytes, ccpes, response, mover):
    it = mover(Store, bus_bytes, ccpes, 0.3)
    line = it.config.line_bytes
    it.ram.bad = {4096 - 4096 % (16 * bus_bytes): response.value}
    good, bad = Transfer(0, 0, 1, 1, 0, 0), Transfer(4096 - 2 * line, 64 * line, 3, 2048 // line, 10, 9)

    async def test(ctx):
        await it.send(ctx, good, bad)
        while ctx.get(it.dut.fault.kind) == FaultKind.NONE:
            await ctx.tick()
        await ctx.tick().until(~it.dut.busy)
        fault = ctx.get(it.dut.fault)
        assert fault.kind == response and fault.access == Access.STORE and fault.address == 4096
        assert it.pulses == 1 and not ctx.get(it.dut.command.ready)
        await it.pulse(ctx, it.dut.clear)
        again = Transfer(8192, 0, 1, 3, 20, 0)
        want = it.after(again)
        await it.send(ctx, again)
        await it.finished(ctx, 2)
        assert it.contents == want

    it.run(test)
