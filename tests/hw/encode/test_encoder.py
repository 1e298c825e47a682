# SPDX-License-Identifier: Apache-2.0
import random

import pytest
import torch

from hw.config import load_config
from hw.encode.encoder import Encoder
from model.exact.encode.encoder import beats
from verif.jobs import KINDS, left_beats, panel_of, segment_beat

CONFIGS = [{}, {"scan": 8, "slots": 4}, {"scan": 2, "slots": 2}, {"depth": 2},
           {"allocation": "none", "scan": 3, "slots": 2}, {"depth": 4, "scan": 8, "slots": 8}]


def known(beat):
    """A beat without what means nothing: empty slots, and the sign of a zero digit."""
    slots = []
    for slot in beat["slot"]:
        signs = sum(bool(m) << row for row, m in enumerate(slot["magnitude"]))
        slots.append({**slot, "sign": slot["sign"] & signs} if slot["valid"] else None)
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


def test_largest_differences_and_the_lowest_operand(play):
    config = load_config("tiny")
    current = torch.tensor([[127, -128, -128, 0, 16], [-128, 127, 0, -128, -16], [0] * 5, [1, -1, 15, -15, -127]])
    reference = torch.tensor([[-128, 127, 0, -128, 0], [127, -128, 0, 0, 0], [0] * 5, [0] * 5])
    law = beats(current, reference, config)
    run = play(Encoder(config), {"left": left_beats(current, reference, config)}, {"segments": len(law)})
    got = [known(beat)[0] for beat in run.beats["segments"]]
    assert got == [known(segment_beat(beat, False))[0] for beat in law]
    first = next(slot for slot in got[0] if slot and slot["k"] == 0 and slot["plane"] == 1)
    assert first["magnitude"] == [15, 15, 0, 0] and first["sign"] == 0b10


@pytest.mark.parametrize("length", [1, 7, 24])
def test_nothing_to_send_still_closes_the_panel(play, length):
    config = load_config("tiny").replace(right_rows=24)
    same = torch.full((4, length), -128)
    scans = -(-length // config.scan)
    run = play(Encoder(config), {"left": left_beats(same, same, config)}, {"segments": scans})
    assert [known(beat) for beat in run.beats["segments"]] == [
        ([None] * config.slots, int(n == scans - 1)) for n in range(scans)]
