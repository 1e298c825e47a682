# SPDX-License-Identifier: Apache-2.0
"""Law of EXION's eager prediction (Heo et al., HPCA 2025, intra-iteration sparsity). Law only.

Stated (at second hand): scores are predicted before Q, K and V are generated (FACT, ISCA 2023) by leading-one
products; the top k of a row are kept; where one value dominates, the row and its Q projection are skipped; keys
that no row keeps need no K and V projection. Not stated: k, the threshold and test of dominance, whether
biases enter the prediction, how a skipped row gets its output. Inferred: biases are added exactly; a dominated row
is one-hot, so its output is the V row of the largest score.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from hw.errors import VidaError
from model.exact.sparsity.leading_one import Detection, log_matmul
from model.exact.vector.pwl import PwlTable
from model.exact.vector.scaling import Scale, requantise8, rescale16
from model.exact.vector.softmax import softmax

#: A skipped score: the least 28-bit accumulator, whose probability is 0.
LEAST = -(1 << 27)


class Dominance(str, Enum):
    """Inferred: when one value dominates a row of predicted scores."""

    MARGIN = "margin"  #: best minus second best, log2 with 10 fraction bits: a subtraction and two maxima
    SHARE = "share"  #: the best one's predicted probability, permille: needs exp2 and a row sum
    NEVER = "never"  #: no row is skipped


@dataclass(frozen=True)
class Selection:
    """What attention computes of one prediction, all bool but `best`.

    Members
    -------
    keep : (..., M, N) scores that are computed; none of a dominated row
    dominated : (..., M) rows that are taken as one-hot
    best : (..., M) int64, the largest predicted score of each row, the lowest index of equals
    queries : (..., M) rows of Q that are generated
    keys, values : (..., N) rows of K and of V that are generated
    """

    keep: Tensor
    dominated: Tensor
    best: Tensor
    queries: Tensor
    keys: Tensor
    values: Tensor


def predict_projection(h: Tensor, right: Tensor, bias: Tensor, scale: Scale, detection: Detection) -> Tensor:
    """Predicted int8 Q, K (..., M, N) of int8 h (..., M, K) and weights (K, N), requantised as the exact one."""
    return requantise8(log_matmul(h, right, detection) + bias, scale)


def predict_scores(queries: Tensor, keys: Tensor, detection: Detection) -> Tensor:
    """Predicted scores (..., M, N) of predicted int8 queries (..., M, d) and keys (..., N, d)."""
    return log_matmul(queries, keys.transpose(-1, -2), detection)


def top_k(scores: Tensor, k: int) -> Tensor:
    """The k largest of each row (..., N), True in a bool (..., N); of equals the lowest index first.

    k at least N keeps all. Raises `VidaError` for k below 1.
    """
    if k < 1:
        raise VidaError(f"top k = {k}, at least 1 allowed")
    order = scores.sort(dim=-1, descending=True, stable=True).indices[..., :k]
    return torch.zeros(scores.shape, dtype=torch.bool).scatter(-1, order, True)


def dominated_rows(scores: Tensor, rule: Dominance, threshold: int, scale: Scale, exp2: PwlTable) -> Tensor:
    """Rows (..., M) of predicted scores (..., M, N) that one value dominates; a row of one key always is.

    `threshold` is inclusive: places of 2^-10 in log2 for MARGIN, permille for SHARE. `scale` and `exp2` are
    those of the exact softmax.
    """
    if rule is Dominance.NEVER:
        return torch.zeros(scores.shape[:-1], dtype=torch.bool)
    if scores.shape[-1] == 1:
        return torch.ones(scores.shape[:-1], dtype=torch.bool)
    if rule is Dominance.MARGIN:
        first, second = rescale16(scores, scale).topk(2, dim=-1).values.unbind(-1)
        return first - second >= threshold
    p, row_sum = softmax(scores, scale, exp2)
    return p.amax(-1) * 1000 >= row_sum * threshold


def select(scores: Tensor, k: int, dominated: Tensor) -> Selection:
    """What is computed, from predicted scores (..., M, N) and their dominated rows (..., M).

    A value row is generated for every kept score and for the best one of a dominated row, a key row for kept
    scores only.
    """
    best = scores.sort(dim=-1, descending=True, stable=True).indices[..., 0]
    keep = top_k(scores, k) & ~dominated[..., None]
    one_hot = torch.zeros_like(keep).scatter(-1, best[..., None], dominated[..., None])
    return Selection(keep, dominated, best, ~dominated, keep.any(-2), (keep | one_hot).any(-2))


def masked_scores(scores: Tensor, selection: Selection) -> Tensor:
    """Accumulators (..., M, N) for softmax: kept scores, `LEAST` elsewhere; a dominated row is 0 at its best.

    Softmax then gives skipped scores the probability 0 as long as a row's largest score exceeds -24 in log2.
    """
    masked = torch.where(selection.keep, scores, LEAST)
    one_hot = torch.zeros_like(selection.keep).scatter(-1, selection.best[..., None], True)
    return torch.where(one_hot & selection.dominated[..., None], 0, masked)


def check_scale(scale: Scale) -> None:
    """Raise `VidaError` where `LEAST` is not the lowest 16-bit log2 score under a softmax scale."""
    if int(rescale16(torch.tensor(LEAST), scale)) > -(1 << 15):
        raise VidaError(f"softmax scale {scale.multipliers[0]} / 2^{scale.shift} is too small to mask a score")
