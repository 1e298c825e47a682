# SPDX-License-Identifier: Apache-2.0
"""Law of proportional attention: a kept key counts for those that were dropped for it. Law only.

Not stated by ORBIS or DiTo; ToMe (Bolya et al., ICLR 2023) adds the logarithm of a key's count to its scores, so that
softmax gives it the probability of so many equal keys.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from model.exact.vector.scaling import Scale
from model.exact.vector.softmax import LOG2_FRACTION_BITS


@cache
def log2_places(count: int) -> int:
    """log2 of a whole number from 1 in places of softmax's input, 2^-`LOG2_FRACTION_BITS`, rounded half up, exact.

    floor(2^(bits + 1) log2 n) is one less than the bit length of n^(2^(bits + 1)).
    """
    return (count ** (1 << (LOG2_FRACTION_BITS + 1))).bit_length() >> 1


def key_offsets(counts: Tensor, scale: Scale) -> Tensor:
    """What is added to the accumulators of the scores (..., M, N) of keys that stand for `counts` (..., N) keys.

    A key that stands for none, or for itself alone, gets 0. Rounded half up, int64; `scale` is softmax's, which has
    one multiplier.
    """
    table = torch.tensor([0, *(log2_places(n) for n in range(1, int(counts.max()) + 1))])
    multiplier = scale.multipliers[0]
    return ((table[counts] << (scale.shift + 1)) + multiplier).div(2 * multiplier, rounding_mode="floor")
