# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.config import load_config
from hw.control.fault import Access, FaultKind
from hw.memory.rows import TransferRows
from model.exact.memory.transfer import Transfer
from verif.buses import Bench, receive, send
from verif.transfers import command, table_lines

TABLE = 200        # where the tests' tables lie


def small(ccpes):
    return load_config("tiny").replace(ccpes=ccpes, buffers=4, buffer_lines=64)


def table(indices, config):
    """Beats of the lines that hold the indices."""
    return [[line >> 128 * c & (1 << 128) - 1 for c in range(config.ccpes)] for line in table_lines(indices, config)]


def random_transfer(draw, ccpes):
    line, rows, lines = 16 * ccpes, draw.choice((1, 2, 17, 40)), draw.choice((1, 3))
    indices = [draw.choice((0, 5, -7, 2**31 - 1, -2**31, draw.randrange(2**16))) for _ in range(rows)]
    return Transfer(2**40 + draw.randrange(99) * line, draw.choice((0, 1, 3, 2**20)) * line, rows, lines,
                    draw.randrange(256 - 3 - 3 * rows), draw.randrange(4), indices if draw.random() < 0.5 else None)


@pytest.mark.parametrize("ccpes", [1, 2, 8])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_rows_are_the_laws(ccpes, stall, play):
    draw, config = random.Random(ccpes), small(ccpes)
    transfers = [random_transfer(draw, ccpes) for _ in range(12)]
    want, lines, asked = [], [], []
    for transfer in transfers:
        moves = transfer.moves(config.line_bytes)[::transfer.lines]
        want += [{"dram": dram % 2**64, "line": line, "lines": transfer.lines, "last": int(r + 1 == len(moves))}
                 for r, (dram, line) in enumerate(moves)]
        if transfer.indices is not None:
            lines += table(transfer.indices, config)
            asked += range(TABLE, TABLE - (-len(transfer.indices) // (4 * ccpes)))
    feed = {"command": [command(transfer, TABLE) for transfer in transfers], "data": lines}
    run = play(TransferRows(config, Access.LOAD), feed=feed, stall=stall,
               take={"row": len(want), "request": len(asked)})
    assert run.beats["row"] == want
    assert [beat["address"] for beat in run.beats["request"]] == asked


def test_a_row_a_cycle_or_one_in_six_by_a_table(play):
    config = small(2)
    every = [command(Transfer(0, 32, 50, 1, 0, 1), TABLE)]
    run = play(TransferRows(config, Access.LOAD), {"command": every}, {"row": 50})
    first = run.moved["command"][0] + TransferRows.latency
    assert run.moved["row"] == list(range(first, first + 50))
    run = play(TransferRows(config, Access.LOAD), {"command": [command(Transfer(0, 32, 8, 1, 0, 1, [9] * 8), TABLE)],
                                                   "data": table([9] * 8, config)}, {"row": 8, "request": 1})
    assert [cycle - run.moved["data"][0] for cycle in run.moved["row"]] == list(range(6, 6 + 6 * 8, 6))


def test_nothing_is_one_row_of_no_lines(play):
    nothing = [Transfer(3, 5, rows, lines, 10**6, 7) for rows, lines in ((0, 4), (4, 0), (0, 0))]
    run = play(TransferRows(small(2), Access.LOAD), {"command": [command(t, TABLE) for t in nothing]}, {"row": 3})
    assert all(beat["lines"] == 0 and beat["last"] for beat in run.beats["row"])


FAULTS = {  # name -> (transfer, table, address, rows given before)
    "misaligned": (Transfer(16, 32, 3, 1, 0, 1), TABLE, 16, 0),
    "misaligned pitch": (Transfer(64, 16, 3, 1, 0, 1), TABLE, 64, 0),
    "first row outside": (Transfer(0, 32, 3, 1, 256, 1), TABLE, 256, 0),
    "row begins inside": (Transfer(0, 32, 3, 3, 254, 1), TABLE, 254, 0),
    "later row outside": (Transfer(0, 32, 9, 2, 0, 100), TABLE, 300, 3),
    "far outside": (Transfer(0, 32, 2, 2, 2**32 - 1, 1), TABLE, 2**32 - 1, 0),
    "table outside": (Transfer(0, 32, 3, 1, 0, 1, [0]), 256, 256, 0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_lies_outside_is_refused(name):
    transfer, at, address, before = FAULTS[name]
    dut, rows = TransferRows(small(2), Access.STORE), []
    simulation = Bench(dut)
    simulation.serve(receive, dut.row, lambda: False, rows)

    async def test(ctx):
        await send(ctx, dut.command, [command(transfer, at)])
        await ctx.tick().repeat(20)
        fault = ctx.get(dut.fault)
        assert fault.kind == FaultKind.ADDRESS and fault.access == Access.STORE and fault.address == address
        assert len(rows) == before and not ctx.get(dut.busy) and not ctx.get(dut.command.ready)
        ctx.set(dut.stop, 1)
        await send(ctx, dut.command, [command(transfer, at)])           # dropped
        ctx.set(dut.stop, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        await send(ctx, dut.command, [command(Transfer(0, 32, 2, 1, 255, 0), TABLE)])
        await ctx.tick().repeat(5)
        assert ctx.get(dut.fault.kind) == FaultKind.NONE and len(rows) == before + 2

    simulation.run(test)
