# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.match.datm import Rule, match
from model.exact.match.dito import (
    Counted,
    Penalty,
    Ratio,
    count_selections,
    interval,
    match_counts,
    matching_steps,
    penalised,
)
from model.exact.match.similarity import Measure, losses
from model.exact.recover.tables import RowTable


@pytest.fixture
def history(captured):
    """Tables of 6 steps, 4 frames each, matched on captured attention outputs."""
    jobs = captured("out", steps=(20, 21, 22, 23, 24, 25))
    return [[match(losses(x, x, Measure.SQUARED), 6, Rule.COVER) for x in job.current] for job in jobs]


def stands(table):
    return dict(table.copied.tolist())


def by_definition(first, second, ratio):
    a, b = stands(first), stands(second)
    if ratio is Ratio.PAIRS:
        return sum(b.get(i) == j for i, j in a.items()), len(a)
    return sum(a.get(i, i) == b.get(i, i) for i in range(first.size)), first.size


def ratio_at(history, distance, ratio):
    pairs = [
        by_definition(history[step][f], history[step + distance][f], ratio)
        for step in range(len(history) - distance)
        for f in range(4)
    ]
    return sum(m for m, _ in pairs), sum(c for _, c in pairs)


@pytest.mark.parametrize("ratio", list(Ratio))
def test_ratio_and_interval_by_definition(history, ratio):
    counts = [ratio_at(history, distance, ratio) for distance in range(1, 6)]
    assert [match_counts(history, distance, ratio) for distance in range(1, 6)] == counts
    for permille in (0, 500, 700, 900, 1000):
        expected = 1
        while expected < 6 and 1000 * counts[expected - 1][0] >= permille * counts[expected - 1][1]:
            expected += 1
        assert interval(history, permille, ratio) == expected
        steps = [0]
        for step in range(1, 6):
            pairs = [by_definition(history[steps[-1]][f], history[step][f], ratio) for f in range(4)]
            if 1000 * sum(m for m, _ in pairs) < permille * sum(c for _, c in pairs):
                steps.append(step)
        assert matching_steps(history, permille, ratio) == steps


def test_bounds_and_short_histories(history):
    assert interval(history, 0) == 6 and matching_steps(history, 0) == [0]
    assert interval([], 500) == 1 and matching_steps([], 500) == []
    nothing = [[RowTable.whole(3)]] * 3
    assert interval(nothing, 1000) == 3                                # no pairs, none fails
    with pytest.raises(VidaError, match="1001 permille"):
        interval(history, 1001)
    with pytest.raises(VidaError, match="3 and 4 rows"):
        match_counts([[RowTable.whole(3)], [RowTable.whole(4)]], 1, Ratio.PAIRS)


@pytest.mark.parametrize("counted", list(Counted))
@pytest.mark.parametrize("penalty", list(Penalty))
def test_penalty_by_definition(captured, history, counted, penalty):
    tokens = captured("out")[0].current[0]
    loss, counts, expected = losses(tokens, tokens, Measure.SQUARED), torch.zeros(16, dtype=torch.int64), [0] * 16
    for tables in history:
        counts = count_selections(counts, tables[0], counted)
        pairs = stands(tables[0])
        for token in pairs if counted is Counted.SOURCE else set(pairs.values()):
            expected[token] += 1
    assert counts.tolist() == expected and max(expected) > 1
    got = penalised(loss, counts, 37, counted, penalty)
    for i in range(16):
        for j in range(16):
            count, value = expected[i if counted is Counted.SOURCE else j], int(loss[i, j])
            wanted = value + 37 * count if penalty is Penalty.ADD else value * (256 + 37 * count) // 256
            assert int(got[i, j]) == (value if i == j else wanted)
    assert torch.equal(penalised(loss, counts, 0, counted, penalty), loss)


@pytest.mark.parametrize("rule", [Rule.PAIRS, Rule.COVER])
def test_a_source_penalty_spreads_the_drops(rule):
    loss = torch.tensor([[0, 3, 9], [3, 0, 4], [9, 4, 0]])
    counts, dropped = torch.zeros(3, dtype=torch.int64), []
    for _ in range(3):
        table = match(penalised(loss, counts, 100, Counted.SOURCE, Penalty.ADD), 1, rule)
        counts = count_selections(counts, table, Counted.SOURCE)
        dropped += list(stands(table))
    assert sorted(dropped) == [0, 1, 2]


def test_negative_weight_is_refused():
    with pytest.raises(VidaError, match="weight -1"):
        penalised(torch.zeros(1, 1), torch.zeros(1), -1, Counted.SOURCE, Penalty.ADD)
