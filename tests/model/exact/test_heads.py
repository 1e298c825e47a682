# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model.exact.heads import join_heads, split_heads


@pytest.mark.parametrize("axis", ["spatial", "temporal", "full", "cross"])
def test_matrices_hold_the_rows_that_mix(axis):
    frames, tokens, heads, width = 2, 3, 2, 4
    x = torch.arange(frames * tokens * heads * width).reshape(frames, tokens, -1)
    found = split_heads(x, heads, axis)
    for f in range(frames):
        for t in range(tokens):
            for h in range(heads):
                place = {"temporal": (t, h, f), "full": (0, h, f * tokens + t)}.get(axis, (f, h, t))
                assert torch.equal(found[place], x[f, t, h * width : (h + 1) * width])
    assert torch.equal(join_heads(found, frames, axis), x)
