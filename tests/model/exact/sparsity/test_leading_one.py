# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model.exact.sparsity.leading_one import Detection, leading_terms, log_matmul, shift_adds


def positions(x, steps):
    """Bit positions of the highest ones of |x|, by its binary text."""
    text = bin(abs(x))[2:]
    return [len(text) - 1 - i for i, bit in enumerate(text) if bit == "1"][:steps]


def by_definition(a, b, left_steps, right_steps):
    sign = -1 if (a < 0) != (b < 0) else 1
    return sign * sum(1 << (p + q) for p in positions(a, left_steps) for q in positions(b, right_steps))


@pytest.mark.parametrize("steps", [1, 2])
def test_every_int8_and_accumulators(steps):
    values = [*range(-128, 128), 2**40 + 3, -(2**27), 2**27 - 1]
    expected = [(-1 if x < 0 else 1) * sum(1 << p for p in positions(x, steps)) for x in values]
    assert leading_terms(torch.tensor(values), steps).tolist() == expected
    share = 0.5 if steps == 1 else 0.75
    for x, y in zip(values, expected, strict=True):
        assert x == y == 0 or share < y / x <= 1


@pytest.mark.parametrize(("detection", "steps"), [
    (Detection.ONE, (1, 1)), (Detection.TWO, (2, 2)), (Detection.LEFT, (2, 1))
])
def test_captured_product_is_a_sum_of_shifted_ones(captured, detection, steps):
    job = captured("qkv")[0]
    left, right = job.current[0, :6], job.right[:, :9]
    expected = [
        [sum(by_definition(a, b, *steps) for a, b in zip(row, column, strict=True)) for column in right.t().tolist()]
        for row in left.tolist()
    ]
    assert log_matmul(left, right, detection).tolist() == expected
    assert shift_adds(left, right, detection) == 6 * 32 * 9 * steps[0] * steps[1]


def test_two_steps_err_less_than_one(captured):
    job = captured("scores")[0]
    exact = job.result
    error = {d: int((log_matmul(job.current, job.right, d) - exact).abs().sum()) for d in Detection}
    assert error[Detection.TWO] < error[Detection.LEFT] < error[Detection.ONE]
