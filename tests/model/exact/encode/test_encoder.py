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
