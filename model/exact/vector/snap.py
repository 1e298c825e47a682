# SPDX-License-Identifier: Apache-2.0
"""Snapping an operand to its reference: small differences become none, before they are encoded."""

from __future__ import annotations

import torch

from hw.errors import VidaError
from hw.vector.operations import THRESHOLD_MAX


def snap(x: torch.Tensor, reference: torch.Tensor, threshold: int) -> torch.Tensor:
    """`reference` where |x - reference| <= threshold, else x; both int8 in int64, of one shape.

    The loop is closed by the caller: the next step's reference is what this returns, so an element never leaves its
    input by more than the threshold. Raises `VidaError` for a threshold outside 0..`THRESHOLD_MAX`.
    """
    if not 0 <= threshold <= THRESHOLD_MAX:
        raise VidaError(f"snapping threshold {threshold}, 0..{THRESHOLD_MAX} allowed")
    return torch.where((x - reference).abs() <= threshold, reference, x)
