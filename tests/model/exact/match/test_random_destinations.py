# SPDX-License-Identifier: Apache-2.0
from itertools import islice

import pytest
import torch

from hw.errors import VidaError
from model.exact.match.random_destinations import cells, draw, match_random, merge_mean, xorshift32
from model.exact.match.similarity import Measure, losses
from model.exact.recover.tables import RowTable


def test_generator_by_bits():
    state, expected = [int(b) for b in f"{2463534242:032b}"], []

    def shifted(bits, amount):
        return bits[amount:] + [0] * amount if amount > 0 else [0] * -amount + bits[:amount]

    for _ in range(5):
        for amount in (13, -17, 5):
            state = [a ^ b for a, b in zip(state, shifted(state, amount), strict=True)]
        expected.append(int("".join(map(str, state)), 2))
    assert list(islice(xorshift32(2463534242), 5)) == expected
    assert expected[0] == 723471715                                 # the first number in Marsaglia's article


@pytest.mark.parametrize("seed", [0, 1 << 32])
def test_wrong_seeds_are_refused(seed):
    with pytest.raises(VidaError, match=f"seed {seed}"):
        next(xorshift32(seed))


def test_cells_of_a_grid_cut_at_the_border():
    got = cells((2, 3, 4), (1, 2, 3))
    expected = []
    for f in range(2):
        for top in (0, 2):
            for left in (0, 3):
                inside = [
                    f * 12 + r * 4 + c for r in range(top, min(top + 2, 3)) for c in range(left, min(left + 3, 4))
                ]
                expected.append(inside)
    assert got == expected and sorted(sum(got, [])) == list(range(24))
    with pytest.raises(VidaError, match="one of at least 1 for each axis"):
        cells((4, 4), (2, 0))


@pytest.mark.parametrize("measure", [Measure.SQUARED, Measure.COSINE])
@pytest.mark.parametrize("drop", [0, 6, 12, 16])
def test_captured_tokens_follow_the_definition(captured, measure, drop):
    tokens = captured("qkv")[0].current[3]                          # 4 x 4 tokens
    loss = losses(tokens, tokens, measure)
    table = match_random(loss, (4, 4), (2, 2), drop, xorshift32(7))
    numbers = xorshift32(7)
    chosen = sorted(cell[next(numbers) % 4] for cell in ([0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]))
    assert draw((4, 4), (2, 2), xorshift32(7)).tolist() == chosen
    pairs = []
    for i in range(16):
        if i not in chosen:
            best = chosen[0]
            for j in chosen:
                if loss[i, j] < loss[i, best]:
                    best = j
            pairs.append((int(loss[i, best]), i, best))
    stands = {i: j for _, i, j in sorted(pairs)[:drop]}
    assert dict(table.copied.tolist()) == stands and len(stands) == min(drop, 12)


def test_mean_by_definition(captured):
    tokens = captured("qkv")[0].current[0]
    table = match_random(losses(tokens, tokens, Measure.COSINE), (4, 4), (2, 2), 9, xorshift32(1))
    stands = dict(table.copied.tolist())
    expected = []
    for kept in table.kept.tolist():
        group = [kept, *(i for i, j in stands.items() if j == kept)]
        sums = [sum(int(tokens[i, c]) for i in group) for c in range(tokens.shape[1])]
        expected.append([(2 * s + len(group)) // (2 * len(group)) for s in sums])
    assert merge_mean(tokens, table).tolist() == expected
    assert torch.equal(merge_mean(tokens, RowTable.whole(16)), tokens)


def test_halves_round_up():
    rows = torch.tensor([[-3, 3, 127], [-2, 2, 127]])
    table = RowTable(2, torch.tensor([1]), torch.tensor([[0, 1]]))
    assert merge_mean(rows, table).tolist() == [[-2, 3, 127]]


def test_grid_must_hold_the_tokens():
    with pytest.raises(VidaError, match=r"grid \(2, 2\) does not hold 5 tokens"):
        match_random(torch.zeros(5, 5, dtype=torch.int64), (2, 2), (1, 1), 1, xorshift32(1))
