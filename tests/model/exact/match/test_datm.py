# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.match.datm import Rule, assign, closest_pairs, match
from model.exact.match.similarity import Measure, losses
from model.exact.recover.tables import gather, recover


def by_cover(loss, count):
    chosen = []
    for _ in range(count):
        totals = {}
        for candidate in range(len(loss)):
            if candidate not in chosen:
                totals[candidate] = sum(min(row[c] for c in [*chosen, candidate]) for row in loss)
        chosen.append(min(totals, key=lambda c: (totals[c], c)))
    return sorted(chosen)


def by_density(loss, count, permille):
    ordered = sorted(value for row in loss for value in row)
    radius = ordered[(len(ordered) - 1) * permille // 1000]
    chosen, covered = [], set()
    for _ in range(count):
        scores = {}
        for candidate in range(len(loss)):
            if candidate not in chosen:
                scores[candidate] = sum(
                    1 for i in range(len(loss)) if i not in covered and loss[i][candidate] <= radius
                )
        best = max(scores, key=lambda c: (scores[c], -c))
        chosen.append(best)
        covered |= {i for i in range(len(loss)) if loss[i][best] <= radius}
    return sorted(chosen)


def by_assignment(loss, destinations, drop):
    pairs = []
    for i in range(len(loss)):
        if i not in destinations:
            best = min(destinations, key=lambda j: (loss[i][j], j))
            pairs.append((loss[i][best], i, best))
    return {i: j for _, i, j in sorted(pairs)[:drop]}


def by_pairs(loss, drop):
    stands = {}
    while len(stands) < drop:
        best = None
        for i in range(len(loss)):
            for j in range(len(loss)):
                if i == j or i in stands or i in stands.values() or j in stands:
                    continue
                key = (loss[i][j], sum(row[j] for row in loss), j, i)
                best = key if best is None or key < best else best
        if best is None:
            break
        stands[best[3]] = best[2]
    return stands


def check(table, stands, count):
    assert dict(table.copied.tolist()) == stands
    assert table.copied[:, 0].tolist() == sorted(stands)
    assert table.kept.tolist() == [i for i in range(count) if i not in stands]


@pytest.mark.parametrize("measure", [Measure.SAD, Measure.SQUARED])
@pytest.mark.parametrize("drop", [0, 5, 8, 15])
def test_captured_outputs_follow_the_definition(captured, measure, drop):
    tokens = captured("out")[0].current[2]                   # 16 tokens of a frame
    loss = losses(tokens, tokens, measure)
    plain = loss.tolist()
    check(match(loss, drop, Rule.COVER), by_assignment(plain, by_cover(plain, 16 - drop), drop), 16)
    check(match(loss, drop, Rule.DENSITY), by_assignment(plain, by_density(plain, 16 - drop, 50), drop), 16)
    check(match(loss, drop, Rule.PAIRS), by_pairs(plain, drop), 16)


@pytest.mark.parametrize("rule", [Rule.COVER, Rule.DENSITY])
def test_fewer_destinations_than_kept_tokens(captured, rule):
    tokens = captured("out")[0].current[0]
    loss = losses(tokens, tokens, Measure.SAD)
    chosen = by_cover(loss.tolist(), 4) if rule is Rule.COVER else by_density(loss.tolist(), 4, 200)
    check(match(loss, 7, rule, 4, 200), by_assignment(loss.tolist(), chosen, 7), 16)


def test_equal_tokens_and_one_token():
    equal = torch.zeros(4, 4, dtype=torch.int64)
    for rule in Rule:
        assert dict(match(equal, 2, rule).copied.tolist()) == (
            {2: 0, 3: 0} if rule is not Rule.PAIRS else {1: 0, 2: 0}
        )
        assert match(equal[:1, :1], 0, rule).kept.tolist() == [0]


def test_pairs_may_run_out():
    apart = torch.tensor([[0, 1, 9, 9], [1, 0, 9, 9], [9, 9, 0, 1], [9, 9, 1, 0]])
    assert closest_pairs(apart, 3).copied.tolist() == [[1, 0], [3, 2]]


def test_cover_loses_least_on_captured_outputs(captured):
    tokens = captured("out")[0].current[1]
    loss = losses(tokens, tokens, Measure.SQUARED)
    totals = {rule: int(sum(loss[i, j] for i, j in match(loss, 8, rule).copied.tolist())) for rule in Rule}
    assert totals[Rule.COVER] <= totals[Rule.PAIRS] and totals[Rule.COVER] <= totals[Rule.DENSITY]


def test_recovered_rows_are_those_of_the_destinations(captured):
    tokens = captured("out")[0].current[1]
    table = match(losses(tokens, tokens, Measure.SAD), 8, Rule.COVER)
    full = recover(gather(tokens, table), table)
    stands = dict(table.copied.tolist())
    assert full.tolist() == [tokens[stands.get(i, i)].tolist() for i in range(16)]


def test_mistakes_are_refused():
    loss = torch.zeros(4, 4, dtype=torch.int64)
    for bad in (-1, 4):
        with pytest.raises(VidaError, match="of 4 tokens dropped"):
            match(loss, bad, Rule.COVER)
    with pytest.raises(VidaError, match=r"3 of 4 tokens dropped with 2 destinations: 0\.\.2"):
        assign(loss, torch.tensor([0, 1]), 3)
    with pytest.raises(VidaError, match="1001 permille"):
        match(loss, 1, Rule.DENSITY, permille=1001)
