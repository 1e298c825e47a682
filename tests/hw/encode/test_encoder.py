# SPDX-License-Identifier: Apache-2.0
import random

import pytest
import torch

from hw.config import load_config
from hw.encode.encoder import Encoder
from model.exact.encode.encoder import beats
from verif.digits import digit_of, segment_beat
from verif.jobs import KINDS, left_beats, panel_of

CONFIGS = [{}, {"scan": 8, "slots": 4}, {"scan": 2, "slots": 2}, {"depth": 2},
           {"allocation": "none", "scan": 3, "slots": 2}, {"depth": 4, "scan": 8, "slots": 8},
           {"allocation": "sparse", "sparse_sum": "shared", "scan": 2, "slots": 2},
           {"allocation": "merge", "depth": 2, "scan": 8, "slots": 8}]


def known(beat):
    """A beat by what its digits are worth, empty slots as none."""
    slots = [{**slot, "digit": [digit_of(window) for window in slot["digit"]]} if slot["valid"] else None
             for slot in beat["slot"]]
    return slots, int(beat["last"])


def panels(config, seed, number=40):
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    lengths = (1, 2, config.scan, config.scan + 1, 2 * config.scan + 1, 20)
    return [(*panel_of(KINDS[n % len(KINDS)], draw.choice(lengths), generator), n % 5 != 0) for n in range(number)]


def check(play, config, stall, seed=1):
    feed, want = [], []
    for current, reference, skip in panels(config, seed):
        feed += left_beats(current, reference, config, skip)
        law = beats(current, reference, config, skip)
        want += [segment_beat(beat, n + 1 == len(law)) for n, beat in enumerate(law)]
    run = play(Encoder(config), {"left": feed}, {"segments": len(want)}, stall, seed)
    for n, (got, expected) in enumerate(zip(run.beats["segments"], want, strict=True)):
        assert known(got) == known(expected), f"beat {n}"
    return run


@pytest.mark.parametrize("changes", CONFIGS, ids=str)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_beats_are_the_laws(play, changes, stall):
    run = check(play, load_config("tiny").replace(right_rows=24, **changes), stall)
    if not stall:
        moved = run.moved["segments"]
        assert moved[0] - run.moved["left"][0] == Encoder.latency
        assert moved[-1] - moved[0] == len(moved) - 1        # as the law says: a beat a cycle


#: (current, reference) -> its digits (low, high, over).
CORNERS = {(-128, 127): (1, 0, -8), (127, -128): (-1, 0, 8), (127, -1): (0, -8, 8), (-128, 1): (-1, 8, -8),
           (120, -16): (-8, -7, 8), (-128, 0): (0, -8, 0), (127, 0): (-1, 8, 0), (8, 0): (-8, 1, 0),
           (-8, 0): (-8, 0, 0), (-9, 0): (7, -1, 0), (5, 5): (0, 0, 0)}


@pytest.mark.parametrize("row", range(4))
def test_differences_at_the_corners_of_their_digits(play, row):
    config = load_config("tiny").replace(allocation="none", scan=1, slots=1)
    current, reference = (torch.zeros(4, len(CORNERS), dtype=torch.int64) for _ in range(2))
    current[row], reference[row] = torch.tensor(list(CORNERS)).T
    law = beats(current, reference, config)
    run = play(Encoder(config), {"left": left_beats(current, reference, config)}, {"segments": len(law)})
    got = [slot for beat in run.beats["segments"] for slot in known(beat)[0] if slot]
    want = [(k, int(place > 0), digit) for k, digits in enumerate(CORNERS.values())
            for place, digit in enumerate((*digits, digits[2])) if digit]
    assert [(slot["k"], slot["plane"], slot["digit"][row]) for slot in got] == want
    assert all(slot["rows"] == 1 << row and not any(slot["digit"][:row]) for slot in got)
    for (now, then), (low, high, over) in CORNERS.items():
        assert now - then == low + 16 * (high + 2 * over)


@pytest.mark.parametrize("length", [1, 7, 24])
def test_nothing_to_send_still_closes_the_panel(play, length):
    config = load_config("tiny").replace(right_rows=24)
    same = torch.full((4, length), -128)
    scans = -(-length // config.scan)
    run = play(Encoder(config), {"left": left_beats(same, same, config)}, {"segments": scans})
    assert [known(beat) for beat in run.beats["segments"]] == [
        ([None] * config.slots, int(n == scans - 1)) for n in range(scans)]
