# SPDX-License-Identifier: Apache-2.0
"""Which rows attend to each other: tokens of a video as the matrices of an attention's heads, and back."""

from __future__ import annotations

from torch import Tensor

from model.networks import CROSS, FULL, SPATIAL


def split_heads(x: Tensor, heads: int, axis: str) -> Tensor:
    """Channels (F, T, D) as matrices (A, H, M, d) of an attention along `axis`, which mixes the M rows of each.

    (F, H, T, d) for spatial, (T, H, F, d) for temporal and (1, H, F T, d) for full attention. Rows of
    cross-attention do not mix: they are kept by frame, as spatial ones.
    """
    rows = x.unflatten(-1, (heads, -1))  # (F, T, H, d)
    if axis in (SPATIAL, CROSS):
        return rows.permute(0, 2, 1, 3)
    return rows.flatten(0, 1).transpose(0, 1)[None] if axis == FULL else rows.permute(1, 2, 0, 3)


def join_heads(x: Tensor, frames: int, axis: str) -> Tensor:
    """The inverse of `split_heads`: (A, H, M, d) of a video of `frames` to (F, T, D)."""
    if axis in (SPATIAL, CROSS):
        rows = x.permute(0, 2, 1, 3)
    else:
        rows = x[0].transpose(0, 1).unflatten(0, (frames, -1)) if axis == FULL else x.permute(2, 0, 1, 3)
    return rows.flatten(2)
