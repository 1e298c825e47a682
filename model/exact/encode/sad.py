# SPDX-License-Identifier: Apache-2.0
"""Law of the SAD encoding unit, and CMC's inter-matrix prediction written from its definition."""

from __future__ import annotations

from dataclasses import dataclass

import torch


def sad(token: torch.Tensor, candidates: torch.Tensor,
        threshold: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smallest sum of absolute differences of a token to the candidates.

    token : (..., d) int8 values; candidates : (n, d), n at least 1. Returns minimum (...) int64, index
    (...) int64 of the first candidate that has it, informative (...) bool: minimum >= threshold. Raises
    ValueError for other shapes. Source: CMC (ASPLOS 2024), inter-matrix prediction.
    """
    if candidates.ndim != 2 or not len(candidates) or token.shape[-1:] != candidates.shape[1:]:
        raise ValueError(f"token is {tuple(token.shape)} and candidates {tuple(candidates.shape)}, "
                         "must be (..., d) and (n, d) with n at least 1")
    # Sums of absolute differences in float64, exact below 2^53.
    n, width = candidates.shape
    distances = torch.cdist(token.double().reshape(-1, width), candidates.double(), p=1).long()
    distances = distances.reshape(*token.shape[:-1], n)
    # Distance and index in one number, so that the lowest index wins a tie whatever the reduction's order.
    smallest = (distances * n + torch.arange(n, device=distances.device)).amin(-1)
    minimum = smallest // n
    return minimum, smallest % n, minimum >= threshold


@dataclass(frozen=True)
class Prediction:
    """CMC's tables of one segment of frames (ASPLOS 2024, inter-matrix prediction).

    informative : (I, 2) int64
        (frame, token) of each token that is computed, in that order: all of the reference frame, and every
        other one whose minimum is at least the threshold.
    copied : (C, 3) int64
        (frame, token, token of the reference frame that stands for it) of all others.
    """

    informative: torch.Tensor
    copied: torch.Tensor


def inter_matrix_prediction(frames: torch.Tensor, reference_frame: int, threshold: int) -> Prediction:
    """Tables of a segment: each token against all tokens of the reference frame (the I frame).

    frames : (F, N, d) int8 values; `threshold` is compared with sums over d elements. Raises ValueError for a
    reference frame outside 0..F-1.
    """
    if not 0 <= reference_frame < len(frames):
        raise ValueError(f"reference frame is {reference_frame}, must be 0..{len(frames) - 1}")
    index, informative = [], []
    for frame in frames:     # a frame at a time: the distances of all would need F * N * N * d values
        _, nearest, far = sad(frame, frames[reference_frame], threshold)
        index.append(nearest)
        informative.append(far)
    informative[reference_frame] = torch.ones_like(informative[reference_frame])
    kept = torch.stack(informative)
    copied = torch.argwhere(~kept)
    nearest = torch.stack(index)[copied[:, 0], copied[:, 1]]
    return Prediction(torch.argwhere(kept), torch.cat((copied, nearest.unsqueeze(1)), 1))
