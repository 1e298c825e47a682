# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from hw.config import load_config
from hw.memory.walker import Walker
from model.exact.memory.walker import walk


@pytest.mark.parametrize("ccpes", [1, 2, 8])
@pytest.mark.parametrize("levels, worded", [(1, None), (2, 1), (3, 1), (3, None)])
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_addresses_are_those_of_the_loops(ccpes, levels, worded, stall, play):
    config, draw = load_config("tiny").replace(ccpes=ccpes, buffer_lines=4096), random.Random(levels)
    commands, expected = [], []
    for _ in range(12):
        counts, strides = ([draw.randint(low, high) for _ in range(levels)] for low, high in ((1, 5), (0, 30)))
        transposed, word, pitch = worded is not None and draw.random() < 0.6, draw.randrange(ccpes), draw.randrange(99)
        base = draw.randrange(500)
        commands.append({"address": base, "count": counts, "stride": strides, "transposed": transposed, "word": word,
                         "pitch": pitch})
        for at, here, end in walk(base, counts, strides, worded if transposed else None, word, ccpes):
            expected.append({"address": at, "end": sum(bit << n for n, bit in enumerate(end)),
                             "transposed": int(transposed), "word": here if transposed else word, "pitch": pitch})
    run = play(Walker(config, levels, worded), feed={"command": commands}, take={"place": len(expected)}, stall=stall)
    assert run.beats["place"] == expected
    if not stall:
        moved = run.moved["place"]
        assert moved == list(range(moved[0], moved[0] + len(moved)))
        assert moved[0] - run.moved["command"][0] == Walker.latency


@pytest.mark.parametrize("walk, given, line", [
    ({"address": 250, "count": [2, 4], "stride": [4, 1]}, 6, 256),
    ({"address": 3, "count": [1, 3], "stride": [0, 1 << 18]}, 1, 3 + (1 << 18)),
    ({"address": 60, "count": [1, 9], "stride": [0, 1], "transposed": 1, "pitch": 1}, 6, 63),
    ({"address": 62, "count": [1, 1], "stride": [0, 1], "transposed": 1, "pitch": 3}, 0, 62),
    ({"address": 254, "count": [1, 4], "stride": [0, 1], "transposed": 1, "pitch": 1}, 2, 255)])
def test_a_step_outside_is_not_given_and_said(walk, given, line, until_outside):
    """Four banks of 64 lines, two words a line."""
    dut = Walker(load_config("tiny").replace(buffer_lines=64), 2, 1)
    assert until_outside(dut, dut.place, {"word": 0, "transposed": 0, "pitch": 0, **walk}) == (given, line)
