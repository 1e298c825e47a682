# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model.exact.encode.encoder import digits
from model.exact.encode.nibbles import Nibbles, count_items


def by_definition(value, reading):
    if reading is Nibbles.DIGITS:
        return sum(int(digit) != 0 for digit in digits(torch.tensor(value)))
    if value == 0:
        return 0
    if reading is Nibbles.MAGNITUDE:
        return 1 if abs(value) >> 4 == 0 else 2
    bits = format(value & 0x1FF, "09b")                # nine bits of two's complement
    if reading is Nibbles.LITERAL:
        return 1 if "1" not in bits[:5] else 2
    return 1 if len(set(bits[:6])) == 1 else 2         # what stands above bit 3 repeats it


@pytest.mark.parametrize("reading", list(Nibbles))
def test_every_difference_by_definition(reading):
    every = list(range(-255, 256))
    assert count_items(torch.tensor(every), reading).tolist() == [by_definition(x, reading) for x in every]


def test_shares_on_captured_differences(captured):
    """A literal test of the high nibble takes most negative differences for wide ones."""
    before, after = (job.current for job in captured("qkv", steps=(25, 26)))
    wide = {reading: (count_items(after - before, reading) == 2).float().mean().item() for reading in Nibbles}
    assert wide[Nibbles.MAGNITUDE] <= wide[Nibbles.EXTENSION] < 0.05 < 0.1 < wide[Nibbles.LITERAL]
    assert wide[Nibbles.DIGITS] <= wide[Nibbles.EXTENSION]
