# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from hw.config import load_config
from hw.memory.buffer import Buffer
from model.exact.memory.buffer import read, read_transposed, write


def config(ccpes):
    return load_config("tiny").replace(ccpes=ccpes, buffers=4, buffer_lines=64)


def words(line):
    return [int.from_bytes(bytes(word), "little") for word in line]


def fill(store, draw):
    """Writes of every line, in random order and dealt to two clients."""
    addresses = list(range(len(store)))
    draw.shuffle(addresses)
    beats = [{"address": a, "line": words(store[a]), "mask": (1 << 4 * store.shape[1]) - 1} for a in addresses]
    return {"write.0": beats[::2], "write.1": beats[1::2]}


def reads(draw, config, number):
    beats = []
    for _ in range(number):
        transposed = draw.random() < 0.6
        beats.append({"address": draw.randrange(config.buffers * config.buffer_lines), "transposed": int(transposed),
                      "word": draw.randrange(config.ccpes), "stride": 2 * draw.randrange(40) + 1})
    return beats


def expected(store, config, beat):
    if beat["transposed"]:
        return words(read_transposed(store, beat["address"], beat["word"], beat["stride"], config.buffer_lines))
    return words(read(store, beat["address"]))


@pytest.mark.parametrize("ccpes", [1, 2, 4, 8])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_reads_give_what_was_written_lines_and_columns(ccpes, stall, play):
    setting, draw = config(ccpes), random.Random(ccpes)
    store = np.frombuffer(draw.randbytes(256 * ccpes * 16), np.uint8).reshape(256, ccpes, 16).copy()
    dut = Buffer(setting, readers=3, writers=2)
    requests = [reads(draw, setting, 120) for _ in range(3)]
    changes = []
    for _ in range(40):      # masked writes to what client 0 does not read while they come: checked afterwards
        line = np.frombuffer(draw.randbytes(ccpes * 16), np.uint8).reshape(ccpes, 16)
        changes.append((draw.randrange(256), line, draw.getrandbits(4 * ccpes)))
    feed = fill(store, draw)
    for address, line, mask in changes:
        write(store, address, line, mask)
    feed["write.0"] += [{"address": a, "line": words(line), "mask": mask} for a, line, mask in changes]
    late = {f"request.{n}": 1000 for n in range(3)}
    run = play(dut, feed=feed | {f"request.{n}": requests[n] for n in range(3)},
               take={f"data.{n}": 120 for n in range(3)}, stall=stall, late=late)
    for n in range(3):
        assert run.beats[f"data.{n}"] == [expected(store, setting, beat) for beat in requests[n]]


def test_a_client_alone_gets_a_line_a_cycle_two_cycles_after_asking(play):
    setting = config(2)
    beats = [{"address": n, "transposed": 0, "word": 0, "stride": 1} for n in range(50)]
    run = play(Buffer(setting, readers=2, writers=1), feed={"request.0": beats}, take={"data.0": 50})
    asked, came = run.moved["request.0"], run.moved["data.0"]
    assert asked == list(range(asked[0], asked[0] + 50)) and came == [cycle + Buffer.latency for cycle in asked]


def test_clients_at_one_bank_are_served_in_turn(play):
    setting = config(2)
    beats = [{"address": n, "transposed": 0, "word": 0, "stride": 1} for n in range(40)]
    run = play(Buffer(setting, readers=4, writers=1), feed={f"request.{n}": beats for n in range(4)},
               take={f"data.{n}": 40 for n in range(4)})
    last = [run.moved[f"request.{n}"][-1] for n in range(4)]
    assert max(last) - min(last) < 8 and max(last) <= 4 * 40 + 8
