# SPDX-License-Identifier: Apache-2.0
"""Digits of every difference, and the segments and beats made of them."""

import pytest
import torch

from hw.config import load_config
from model.exact.encode.encoder import PLANES, beats, digits, segments
from verif.jobs import KINDS, panel_of

DIFFERENCES = torch.arange(-255, 256)


def test_digits_of_every_difference_add_up_to_it():
    found = digits(DIFFERENCES)
    weights = torch.tensor([16 ** plane for plane in PLANES])
    assert torch.equal((found * weights[:, None]).sum(0), DIFFERENCES)
    assert found.min() == -8 and found.max() == 8
    assert torch.equal(found[2], found[3])


def test_small_differences_need_one_digit_and_only_a_ninth_bit_more_than_two():
    count = (digits(DIFFERENCES) != 0).sum(0)
    assert bool((count[(DIFFERENCES.abs() <= 7)] <= 1).all())
    assert bool((count[(DIFFERENCES >= -128) & (DIFFERENCES <= 127)] <= 2).all())
    assert bool((count[(DIFFERENCES < -128) | (DIFFERENCES > 127)] >= 2).all())


def test_no_difference_of_int8_is_larger():
    with pytest.raises(ValueError, match="magnitude 256, must be at most 255"):
        digits(torch.tensor([3, -256]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("skip", [True, False])
def test_segments_hold_every_digit_once(kind, skip):
    current, reference = panel_of(kind, 20, torch.Generator().manual_seed(3))
    total = torch.zeros(4, 20, dtype=torch.int64)
    found = segments(current, reference, skip)
    for segment in found:
        total[:, segment.k] += torch.tensor(segment.digits) * 16 ** segment.plane
        issued = [bool(segment.rows >> row & 1) for row in range(4)]
        assert segment.count == sum(issued) > 0
        assert all(issued[row] for row, digit in enumerate(segment.digits) if digit)
        assert not skip or segment.count == sum(map(bool, segment.digits))
    assert torch.equal(total, current - reference)
    if not skip:                    # both planes of every column, zeros too; a ninth bit may add two
        assert len({(segment.k, segment.plane) for segment in found}) == 2 * 20
        assert sum(segment.count == 4 for segment in found) >= 2 * 20


@pytest.mark.parametrize("changes", [{}, {"depth": 2}, {"allocation": "merge", "depth": 4, "scan": 8, "slots": 8}])
@pytest.mark.parametrize("kind", KINDS)
def test_beats_keep_residues_apart_and_lose_nothing(kind, changes):
    config = load_config("tiny").replace(**changes)
    current, reference = panel_of(kind, 19, torch.Generator().manual_seed(4))
    sent = beats(current, reference, config)
    for beat in sent:
        assert len(beat) == config.slots
        for slot, segment in enumerate(beat):
            assert segment is None or segment.k % config.residues == slot // config.slots_per_residue
    placed = [segment for beat in sent for segment in beat if segment]
    assert sorted(placed, key=repr) == sorted(segments(current, reference), key=repr)
    assert len(sent) >= -(-19 // config.scan)


def digits_of(difference):
    """(place, digit) of a difference's non-zero digits, from its nine bits as text."""
    text = format(difference & 0x1FF, "09b")
    low = int(text[5:], 2) - 16 * int(text[5])
    high = int(text[1:5], 2) - 16 * int(text[1]) + int(text[5])
    over = 8 * (difference > 127) - 8 * (difference < -128)
    return [low, high, over, over]


def segments_of(current, reference, skip):
    """(k, plane, digits, rows) from nested lists (4, K), column by column."""
    found = []
    for k in range(len(current[0])):
        by_row = [digits_of(current[row][k] - reference[row][k]) for row in range(4)]
        for place in range(4):
            values = tuple(by_row[row][place] for row in range(4))
            sent = [row for row in range(4) if values[row] != 0 or (not skip and place < 2)]
            if sent:
                found.append((k, min(place, 1), values, sum(2 ** row for row in sent)))
    return found


def beats_of(current, reference, config, skip):
    """Cycle by cycle: every residue of k sends what it has, low digits first, as many as it has slots."""
    each, sent = config.slots // config.residues, []
    for first in range(0, len(current[0]), config.scan):
        waiting = [[] for _ in range(config.residues)]
        group = [s for s in segments_of(current, reference, skip) if first <= s[0] < first + config.scan]
        for plane in (0, 1):
            for segment in group:
                if segment[1] == plane:
                    waiting[segment[0] % config.residues].append(segment)
        while True:
            beat = []
            for queue in waiting:
                now = [queue.pop(0) for _ in range(min(each, len(queue)))]
                beat += now + [None] * (each - len(now))
            sent.append(tuple(beat))
            if not any(waiting):
                break
    return sent


def test_digits_of_every_difference_by_its_bits():
    assert digits(DIFFERENCES).T.tolist() == [digits_of(d) for d in DIFFERENCES.tolist()]


@pytest.mark.parametrize("changes", [{}, {"depth": 2}, {"allocation": "merge", "depth": 4, "scan": 8, "slots": 8}])
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("kind", ["qkv", "fc2"])
def test_captured_differences_follow_the_definition(captured, kind, skip, changes):
    config = load_config("tiny").replace(**changes)
    before, now = (job.current.flatten(0, 1) for job in captured(kind, steps=(25, 26)))
    for reference in (before, torch.zeros_like(now)):
        for first in (0, 28):
            one = [x[first:first + 4] for x in (now, reference)]
            lists = [x.tolist() for x in one]
            assert segments(*one, skip) == segments_of(*lists, skip)
            assert beats(*one, config, skip) == beats_of(*lists, config, skip)


@pytest.mark.parametrize("current, reference", [(0, 0), (127, -128), (-128, 127), (-128, 0), (-1, 0), (8, 0)])
def test_corners_follow_the_definition(current, reference):
    config = load_config("tiny")
    for k in (1, 5):
        one = torch.full((4, k), current), torch.full((4, k), reference)
        assert beats(*one, config) == beats_of(*(x.tolist() for x in one), config, True)
