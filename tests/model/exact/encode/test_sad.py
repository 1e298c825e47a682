# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model.exact.encode.sad import inter_matrix_prediction, sad


def values(*shape, seed=0):
    return torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(seed))


def by_definition(token, candidates, threshold):
    sums = [sum(abs(t - c) for t, c in zip(token, candidate, strict=True)) for candidate in candidates]
    return min(sums), sums.index(min(sums)), min(sums) >= threshold


def test_equals_the_definition_token_by_token():
    tokens, candidates = values(5, 7, 11), values(9, 11, seed=1)
    minimum, index, informative = sad(tokens, candidates, 600)
    assert minimum.dtype == index.dtype == torch.int64 and informative.dtype == torch.bool
    for i in range(5):
        for j in range(7):
            got = (int(minimum[i, j]), int(index[i, j]), bool(informative[i, j]))
            assert got == by_definition(tokens[i, j].tolist(), candidates.tolist(), 600)


def test_int8_storage_does_not_overflow():
    token, candidate = torch.full((3,), -128, dtype=torch.int8), torch.full((1, 3), 127, dtype=torch.int8)
    assert [int(part) for part in sad(token, candidate, 765)] == [765, 0, 1]
    assert not sad(token, candidate, 766)[2]


def test_lowest_index_wins_a_tie():
    candidates = torch.tensor([[5, 5], [1, 0], [0, 1], [-1, 0]])
    assert [int(part) for part in sad(torch.zeros(2, dtype=torch.int64), candidates, 1)] == [1, 1, 1]


@pytest.mark.parametrize("token, candidates", [((4,), (2, 5)), ((4,), (0, 4)), ((4,), (4,))])
def test_refuses_other_shapes(token, candidates):
    with pytest.raises(ValueError, match="must be"):
        sad(torch.zeros(token), torch.zeros(candidates), 1)


def test_tables_partition_the_segment_and_follow_the_definition():
    frames = values(5, 6, 8)
    frames[1] = frames[2, [3, 3, 0, 5, 1, 2]]                    # an exact copy of I-frame tokens
    frames[4] = (frames[2] + values(6, 8, seed=2) // 32).clamp(-128, 127)
    threshold = 40
    tables = inter_matrix_prediction(frames, 2, threshold)
    expected_informative, expected_copied = [], []
    for f in range(5):
        for t in range(6):
            _, index, informative = by_definition(frames[f, t].tolist(), frames[2].tolist(), threshold)
            if f == 2 or informative:
                expected_informative.append([f, t])
            else:
                expected_copied.append([f, t, index])
    assert tables.informative.tolist() == expected_informative
    assert tables.copied.tolist() == expected_copied
    assert [1, 0, 3] in expected_copied and [2, 0] in expected_informative and [0, 0] in expected_informative


def test_threshold_zero_computes_everything_and_a_huge_one_copies_all_but_the_reference():
    frames = values(3, 4, 6)
    assert len(inter_matrix_prediction(frames, 0, 0).copied) == 0
    tables = inter_matrix_prediction(frames, 1, 255 * 6 + 1)
    assert tables.informative.tolist() == [[1, t] for t in range(4)] and tables.copied.shape == (8, 3)
    with pytest.raises(ValueError, match="reference frame is 3, must be 0..2"):
        inter_matrix_prediction(frames, 3, 1)
