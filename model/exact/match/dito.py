# SPDX-License-Identifier: Apache-2.0
"""Law of DiTo's schedule and penalty (Lee, Lee and Kim, 2026, abstract). Law only.

Stated: a matching timestep establishes correspondences from its outputs, which reduction timesteps reuse; the pair
match ratio (PMR) guides the interval between matching timesteps; a selection-frequency penalty keeps the same
tokens from being approximated again and again. Not stated: the ratio, the bound, the form of the penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import torch
from torch import Tensor

from hw.errors import VidaError
from model.exact.recover.tables import RowTable


class Ratio(str, Enum):
    """Inferred: what the pair match ratio counts."""

    PAIRS = "pairs"  #: of the pairs matched first, those that are matched again
    TOKENS = "tokens"  #: of all tokens, those with the same source again; a kept one's is itself. Larger, steadier


class Counted(str, Enum):
    """Inferred: whose selection is counted."""

    SOURCE = "source"  #: how often a token was dropped: spreads the error over tokens
    DESTINATION = "destination"  #: how often a token stood for others: spreads the copies over destinations


class Penalty(str, Enum):
    """Inferred: how the count enters the loss."""

    ADD = "add"  #: loss + weight * count, in places of the loss
    SCALE = "scale"  #: loss * (256 + weight * count) >> 8: free of the loss's unit, but nothing for a loss of 0


def pair_matches(first: RowTable, second: RowTable, ratio: Ratio) -> tuple[int, int]:
    """(matches, compared) of a table and one recomputed later; raises `VidaError` for tables of other sizes."""
    if first.size != second.size:
        raise VidaError(f"tables of {first.size} and {second.size} rows, the same needed")
    same = first.sources == second.sources
    if ratio is Ratio.PAIRS:
        same = same[first.copied[:, 0]]
    return int(same.sum()), len(same)


def match_counts(history: Sequence[Sequence[RowTable]], distance: int, ratio: Ratio) -> tuple[int, int]:
    """(matches, compared) summed over all timesteps that are `distance` apart and all matrices.

    history : by timestep, the tables of that timestep's matrices, matched at every one of them (offline).
    """
    pairs = [
        pair_matches(first, second, ratio)
        for here, there in zip(history, history[distance:])
        for first, second in zip(here, there, strict=True)
    ]
    return sum(matches for matches, _ in pairs), sum(compared for _, compared in pairs)


def interval(history: Sequence[Sequence[RowTable]], permille: int, ratio: Ratio = Ratio.PAIRS) -> int:
    """Timesteps from one matching to the next, constant: the largest k up to which all ratios reach the bound.

    k runs from 1; 1 means that every timestep matches. At distances 1 .. k - 1 tables are reused, so those
    ratios have to reach `permille` thousandths. Raises `VidaError` for a bound outside 0..1000.
    """
    _check_bound(permille)
    for distance in range(1, len(history)):
        if not _reaches(match_counts(history, distance, ratio), permille):
            return distance
    return max(1, len(history))


def matching_steps(history: Sequence[Sequence[RowTable]], permille: int, ratio: Ratio = Ratio.PAIRS) -> list[int]:
    """Matching timesteps, the other reading: each table is reused until its own ratio falls below the bound."""
    _check_bound(permille)
    steps = [0] if len(history) else []
    for step in range(1, len(history)):
        pairs = [pair_matches(a, b, ratio) for a, b in zip(history[steps[-1]], history[step], strict=True)]
        if not _reaches((sum(m for m, _ in pairs), sum(c for _, c in pairs)), permille):
            steps.append(step)
    return steps


def _check_bound(permille: int) -> None:
    if not 0 <= permille <= 1000:
        raise VidaError(f"pair match ratio of {permille} permille, 0..1000 allowed")


def _reaches(counts: tuple[int, int], permille: int) -> bool:
    return counts[0] * 1000 >= permille * counts[1]


def penalised(loss: Tensor, counts: Tensor, weight: int, counted: Counted, penalty: Penalty) -> Tensor:
    """Loss (N, N), source by destination, with the selection counts (N,); raises `VidaError` for weight < 0.

    The diagonal stays: a kept token stands for itself and is not approximated. (With it a penalty on sources would
    add the same to all choices of a rule that minimises the sum, and change nothing.)
    """
    if weight < 0:
        raise VidaError(f"penalty weight {weight}, at least 0 allowed")
    count = counts[:, None] if counted is Counted.SOURCE else counts[None, :]
    changed = loss + weight * count if penalty is Penalty.ADD else loss * (256 + weight * count) >> 8
    return torch.where(torch.eye(len(loss), dtype=torch.bool), loss, changed)


def count_selections(counts: Tensor, table: RowTable, counted: Counted) -> Tensor:
    """Counts (N,) after a matching: plus 1 for each token that was dropped, or that stands for others."""
    tokens = table.copied[:, 0] if counted is Counted.SOURCE else table.copied[:, 1].unique()
    return counts + torch.zeros_like(counts).index_fill(0, tokens, 1)
