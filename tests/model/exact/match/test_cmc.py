# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.match.cmc import Middle, Search, Segment, Tail, comparisons, predict, row_table, segments
from model.exact.match.intra import IntraSearch, intra_table
from model.exact.recover.tables import gather, recover


def by_definition(frames, segment, threshold, width=None, reach=None):
    """Kept (frame, token) and copied (frame, token, frame, token), from nested lists; also differences taken."""
    kept, copied, differences = [], [], 0
    for start in range(0, len(frames), segment):
        here = list(range(start, min(start + segment, len(frames))))
        i_frame = here[(len(here) - 1) // 2]
        for f in here:
            for t, token in enumerate(frames[f]):
                if f == i_frame:
                    kept.append((f, t))
                    continue
                best, best_at = None, None
                for c, candidate in enumerate(frames[i_frame]):
                    if width is not None:
                        rows, columns = abs(t // width - c // width), abs(t % width - c % width)
                        if rows > reach or columns > reach:
                            continue
                    total = 0
                    for x, y in zip(token, candidate, strict=True):
                        total += abs(x - y)
                        differences += 1
                    if best is None or total < best:
                        best, best_at = total, c
                if best >= threshold:
                    kept.append((f, t))
                else:
                    copied.append((f, t, i_frame, best_at))
    return kept, copied, differences


def check(frames, search):
    tokens = frames.shape[1]
    kept, copied, differences = by_definition(
        frames.tolist(), search.segment, search.threshold, search.width, search.reach
    )
    table = row_table(frames, search)
    assert table.kept.tolist() == [f * tokens + t for f, t in kept]
    assert table.copied.tolist() == [[f * tokens + t, g * tokens + u] for f, t, g, u in copied]
    assert comparisons(frames, search) == differences
    return table


@pytest.mark.parametrize("window", [(None, None), (4, 0), (4, 1), (4, 9)])
@pytest.mark.parametrize("threshold", [0, 100, 300, 255 * 32 + 1])
def test_captured_tokens_follow_the_definition(captured, window, threshold):
    (job,) = captured("qkv")
    frames = job.current                                     # (4, 16, 32)
    table = check(frames, Search(4, threshold, width=window[0], reach=window[1]))
    check(frames, Search(3, threshold, width=window[0], reach=window[1]))
    expected = {0: 64, 255 * 32 + 1: 16}
    assert len(table.kept) == expected.get(threshold, len(table.kept))


def test_captured_thresholds_are_not_idle(captured):
    (job,) = captured("qkv")
    assert 16 < len(row_table(job.current, Search(4, 300)).kept) < 64


def test_recovered_product_is_dense_on_the_rewritten_operand(captured):
    (job,) = captured("qkv")
    rows = job.current.reshape(64, -1)
    table = row_table(job.current, Search(4, 300))
    rewritten = rows[[dict(table.copied.tolist()).get(i, i) for i in range(64)]]
    assert torch.equal(recover(gather(rows, table) @ job.right, table), rewritten @ job.right)


def test_ties_go_to_the_lowest_candidate():
    frames = torch.zeros(3, 4, 2, dtype=torch.int64)
    assert row_table(frames, Search(3, 1)).copied.tolist() == [[i, 4] for i in (0, 1, 2, 3, 8, 9, 10, 11)]
    assert row_table(frames, Search(3, 1, width=2, reach=0)).copied[:, 1].tolist() == [4, 5, 6, 7] * 2
    assert len(row_table(frames, Search(3, 0)).copied) == 0


def test_one_token_and_one_matrix(integers):
    check(integers(3, 1, 5), Search(3, 500))
    assert row_table(integers(1, 4, 5), Search(8, 10000)).kept.tolist() == [0, 1, 2, 3]


def test_readings_of_the_middle_and_of_the_tail():
    assert segments(8, 8) == (Segment(0, 8, 3),)
    assert segments(8, 8, Middle.UPPER) == (Segment(0, 8, 4),)
    assert segments(7, 5) == (Segment(0, 5, 2), Segment(5, 2, 5))
    assert segments(7, 5, tail=Tail.DENSE) == (Segment(0, 5, 2), Segment(5, 2, None))
    assert segments(8, 5, tail=Tail.DENSE) == (Segment(0, 5, 2), Segment(5, 3, 7))


def test_a_dense_tail_is_computed_whole():
    frames = torch.zeros(5, 2, 3, dtype=torch.int64)
    search = Search(4, 1, tail=Tail.DENSE)
    assert predict(frames, search)[1] == (Segment(4, 1, None), None)
    assert {8, 9} <= set(row_table(frames, search).kept.tolist())
    assert comparisons(frames, search) == 3 * 2 * 2 * 3


def test_mistakes_are_refused():
    frames = torch.zeros(2, 6, 3, dtype=torch.int64)
    with pytest.raises(VidaError, match="segment length 0"):
        row_table(frames, Search(0, 1))
    with pytest.raises(VidaError, match="width 4 and reach 1 do not fit 6 tokens"):
        row_table(frames, Search(2, 1, width=4, reach=1))
    with pytest.raises(VidaError, match="give both or none"):
        row_table(frames, Search(2, 1, reach=1))


@pytest.mark.parametrize(("segment", "part"), [(4, None), (4, 1), (2, 4), (3, 2)])
def test_intra_prediction_follows_the_definition(captured, segment, part):
    (job,) = captured("scores")
    matrix = job.current[1, 0]                               # 16 queries of one head
    size = part or len(matrix) // segment
    parts = [matrix[i : i + size].tolist() for i in range(0, len(matrix), size)]
    kept, copied, _ = by_definition(parts, segment, 400)
    table = intra_table(matrix, IntraSearch(segment, 400, part))
    assert table.kept.tolist() == [p * size + v for p, v in kept]
    assert table.copied.tolist() == [[p * size + v, q * size + w] for p, v, q, w in copied]
    assert len(table.copied)


def test_intra_parts_must_divide_the_matrix():
    with pytest.raises(VidaError, match="16 vectors do not divide into parts of 5"):
        intra_table(torch.zeros(16, 2), IntraSearch(3, 1))
