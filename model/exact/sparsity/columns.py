# SPDX-License-Identifier: Apache-2.0
"""Law of ViDA's column threshold, by snapping (Ding, Liu, Huang and Dai, ASP-DAC 2025, slides). Law only.

Stated: thresholds split the columns of a difference matrix into dense and sparse ones. Inferred: a column with next to
nothing in it is not computed at all, which is done by writing the reference into the operand, so that the next
difference refers to what was computed (closed loop) and the array needs no threshold.
"""

from __future__ import annotations

from torch import Tensor

from hw.errors import VidaError


def snap_columns(x: Tensor, reference: Tensor, permille: int) -> Tensor:
    """`x` (..., M, K) with every column whose non-zero differences are at most `permille` of its M rows replaced by
    that of `reference`. Raises `VidaError` outside 0..1000."""
    if not 0 <= permille <= 1000:
        raise VidaError(f"column threshold {permille}, 0..1000 permille allowed")
    changed = (x != reference).sum(-2, keepdim=True)
    return reference.where(1000 * changed <= permille * x.shape[-2], x)
