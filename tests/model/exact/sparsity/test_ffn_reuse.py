# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.operators import matmul
from model.exact.sparsity.ffn_reuse import is_dense, quantile_threshold, reuse, second_layer_delta, value_mask


def test_schedule_of_iterations():
    assert [is_dense(step, 3) for step in range(9)] == [True, False, False, False, True, False, False, False, True]
    assert all(is_dense(step, 0) for step in range(4))
    assert [is_dense(step, 1, warm_up=3) for step in range(7)] == [True] * 3 + [True, False, True, False]
    with pytest.raises(VidaError, match="may be negative"):
        is_dense(0, -1)


@pytest.mark.parametrize("threshold", [0, 1, 9, 128])
def test_captured_hidden_layer_follows_the_definition(captured, threshold):
    dense, sparse = (job.current for job in captured("fc2", steps=(25, 26)))
    mask = value_mask(dense, threshold)
    after = reuse(sparse, dense, mask)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in dense.shape)).tolist():
        at = tuple(place)
        again = abs(int(dense[at])) > threshold
        assert bool(mask[at]) == again
        assert int(after[at]) == int(sparse[at] if again else dense[at])
    assert mask.any() == (threshold < 128)


@pytest.mark.parametrize("permille", [0, 1, 100, 500, 999, 1000])
def test_quantile_by_definition(captured, permille):
    hidden = captured("fc2")[0].current
    magnitudes = [abs(int(x)) for x in hidden.flatten()]
    allowed = len(magnitudes) * permille // 1000
    expected = next(t for t in range(129) if sum(m > t for m in magnitudes) <= allowed)
    assert quantile_threshold(hidden, permille) == expected
    assert int(value_mask(hidden, expected).sum()) <= allowed


def test_ties_and_extremes():
    equal = torch.full((2, 3), -128)
    assert quantile_threshold(equal, 999) == 128 and not value_mask(equal, 128).any()
    assert quantile_threshold(equal, 1000) == 0 and value_mask(equal, 0).all()
    assert quantile_threshold(torch.zeros(1, 1, dtype=torch.int64), 0) == 0
    with pytest.raises(VidaError, match="threshold 129"):
        value_mask(equal, 129)
    with pytest.raises(VidaError, match="1001 permille"):
        quantile_threshold(equal, 1001)


def test_both_readings_of_the_second_layer_agree(captured):
    before, after = captured("fc2", steps=(25, 26))
    hidden = reuse(after.current, before.current, value_mask(before.current, 4))
    bias = before.init
    sums = bias + matmul(before.current, before.right)
    assert torch.equal(second_layer_delta(sums, hidden, before.current, before.right),
                       bias + matmul(hidden, before.right))
