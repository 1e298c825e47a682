# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.config import load_config
from hw.memory.line_share import LineShare
from verif.buses import Bench, Lines, receive, send

CONFIG = load_config("tiny").replace(ccpes=2, buffers=2, buffer_lines=64)


def setup(clients, pause, delay):
    dut, store = LineShare(CONFIG, clients), Lines(128, 2, pause=pause, delay=delay)
    simulation, got = Bench(dut), [[] for _ in range(clients)]
    simulation.serve(store.serve_reads, dut.request, dut.data)
    for n in range(clients):
        simulation.serve(receive, dut.client_data[n], store.rests, got[n])
    return dut, store, simulation, got


def beat(address):
    return {"address": address, "transposed": 0, "word": 0, "stride": 0}


async def all_came(ctx, got, number):
    while [len(lines) for lines in got] != number:
        await ctx.tick()


@pytest.mark.parametrize("clients", [2, 3])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_every_client_gets_its_lines_in_order(clients, pause):
    draw = random.Random(clients)
    dut, store, simulation, got = setup(clients, pause, 3)
    asked = [[draw.randrange(128) for _ in range(40)] for _ in range(clients)]
    for n, addresses in enumerate(asked):
        simulation.serve(send, dut.client_request[n], [beat(address) for address in addresses], store.rests)
    simulation.run(all_came, got, [40] * clients)
    for lines, addresses in zip(got, asked, strict=True):
        assert [line[0] | line[1] << 128 for line in lines] == [store.lines[address] for address in addresses]


@pytest.mark.parametrize("asking", [1, 2])
def test_a_line_a_cycle_to_one_client_or_two(asking):
    dut, store, simulation, got = setup(2, 0.0, 0)
    for n in range(asking):
        simulation.serve(send, dut.client_request[n], [beat(n)] * 50)

    async def test(ctx):
        cycles = 0
        while sum(len(lines) for lines in got) < 50 * asking:
            await ctx.tick()
            cycles += 1
        assert cycles <= 50 * asking + 6

    simulation.run(test)
