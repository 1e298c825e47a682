# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from host.allocate import Buffer, DoesNotFit
from hw.config import load_config
from hw.errors import VidaError


@pytest.fixture
def buffer():
    return Buffer(load_config("tiny").replace(buffers=2, buffer_lines=64))


def test_what_is_taken_never_overlaps_and_comes_back_whole(buffer):
    draw, taken = random.Random(1), {}
    for _ in range(2000):
        if taken and draw.random() < 0.5:
            base = draw.choice(list(taken))
            buffer.give(base)
            del taken[base]
            continue
        lines = draw.randint(1, 30)
        try:
            base = buffer.take(lines)
        except DoesNotFit:
            continue
        assert base // 64 == (base + lines - 1) // 64
        assert all(base + lines <= other or other + taken[other] <= base for other in taken)
        taken[base] = lines
    for base in taken:
        buffer.give(base)
    assert buffer.free_lines() == 128
    assert buffer.take(64) in (0, 64)


def test_a_bank_is_avoided_while_another_has_room(buffer):
    first = buffer.take(10)
    assert buffer.bank(buffer.take(10, (first,))) != buffer.bank(first)
    buffer.take(50, (first,))
    assert buffer.bank(buffer.take(10, (first,))) == buffer.bank(first)


def test_lines_given_back_last_are_taken_last(buffer):
    first = buffer.take(32)
    buffer.give(first)
    assert buffer.take(32, (64 - first // 64 * 64,)) == first + 32


def test_no_room_is_told(buffer):
    buffer.take(40)
    with pytest.raises(DoesNotFit, match="needs 65 adjacent lines .* 64 are free together, 88 in all"):
        buffer.take(65, what="thing")


def test_what_is_free_is_split_into_parts_in_different_banks(buffer):
    buffer.take(10)
    parts = buffer.split(3)
    assert [part.free_lines() for part in parts] == [36] * 3
    taken = [line for part in parts for base in (part.take(18), part.take(18)) for line in range(base, base + 18)]
    assert len(set(taken)) == 108
    assert min(taken) >= 10
    assert buffer.split(1)[0].free_lines() == 118
    assert buffer.split(200) == []


@pytest.mark.parametrize(("rows", "room"), [(8, 0), (4, 1), (12, 1)])
def test_a_matrix_read_transposed_has_an_odd_pitch_and_whole_sets_of_blocks(buffer, rows, room):
    matrix = buffer.matrix(24, 32, 1, transposed=rows)
    assert matrix.pitch == 5
    assert buffer.free_lines() == 128 - 5 * (6 + room)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_part_has_the_places_of_its_elements(width):
    matrix = Buffer(load_config("tiny")).matrix(16, 32, width)
    part = matrix.part(row=8, rows=8, col=16, cols=8)
    whole = matrix.matrix.addresses(np.arange(16), np.arange(32))
    assert (part.matrix.addresses(np.arange(8), np.arange(8)) == whole[8:, 16:24]).all()
    lines = {int(address) // 32 for address in whole[8:, 16:24].ravel()}
    assert part.lines() == sum(1 << line for line in lines)


def test_a_part_may_begin_at_a_word_of_int8_only():
    buffer = Buffer(load_config("tiny"))
    part = buffer.matrix(4, 32, 1).part(col=12)
    assert (part.word, part.part(col=4).word) == (1, 0)
    for matrix, place in ((buffer.matrix(4, 32, 4), {"col": 4}), (buffer.matrix(8, 32, 1), {"row": 2})):
        with pytest.raises(VidaError, match="begins inside a tile"):
            matrix.part(**place)
