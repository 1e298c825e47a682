# SPDX-License-Identifier: Apache-2.0
"""Law of ViDA's column threshold, by snapping (Ding, Liu, Huang and Dai, ASP-DAC 2025, slides). Law only.

Stated: thresholds split the columns of a difference matrix into dense and sparse ones. Inferred: a column with next to
nothing in it is not computed at all, which is done by writing the reference into the operand, so that the next
difference refers to what was computed (closed loop) and the array needs no threshold; and what "next to nothing" is.
"""

from __future__ import annotations

from enum import Enum

from torch import Tensor

from hw.errors import VidaError


class ColumnRule(str, Enum):
    """Inferred: what of a column's differences is held to the threshold."""

    COUNT = "count"  #: how many of its rows differ
    MAGNITUDE = "magnitude"  #: how much its rows differ: their mean, in int8 places


def snap_columns(x: Tensor, reference: Tensor, permille: int, rule: ColumnRule = ColumnRule.COUNT) -> Tensor:
    """`x` (..., M, K) with every column whose differences are little replaced by that of `reference`.

    Little: at most `permille` of its M rows differ, or they differ by at most `permille` / 1000 places in the mean.
    Raises `VidaError` outside 0..1000.
    """
    if not 0 <= permille <= 1000:
        raise VidaError(f"column threshold {permille}, 0..1000 permille allowed")
    changed = x != reference if rule is ColumnRule.COUNT else (x - reference).abs()
    return reference.where(1000 * changed.sum(-2, keepdim=True) <= permille * x.shape[-2], x)
