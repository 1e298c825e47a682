# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.vector.snap import snap


@pytest.mark.parametrize("threshold", [0, 1, 17, 254, 255])
def test_every_pair_is_snapped_or_kept(threshold):
    x, reference = torch.meshgrid(torch.arange(-128, 128), torch.arange(-128, 128), indexing="ij")
    out = snap(x, reference, threshold)
    near = (x - reference).abs() <= threshold
    assert torch.equal(out[near], reference[near]) and torch.equal(out[~near], x[~near])
    assert (out - x).abs().max() == threshold


def test_refuses_a_threshold_that_has_no_meaning():
    with pytest.raises(VidaError, match="threshold -1, 0..255"):
        snap(torch.zeros(1), torch.zeros(1), -1)
