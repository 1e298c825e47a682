# SPDX-License-Identifier: Apache-2.0
"""Law of ORBIS's distribution-aware token matching, DATM (Lee and Kim, 2026, abstract). Law only.

Stated: similarity is that of the previous timestep's outputs; matching uses the global token distribution and
explicitly minimises token-pair loss, unlike one-shot random bipartite matching. How is not stated: `Rule` has
three readings. Ties always go to the lowest index.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from hw.errors import VidaError
from model.exact.recover.tables import RowTable


class Rule(str, Enum):
    """Inferred: how destinations follow from the global distribution."""

    COVER = "cover"  #: greedy k-medoids, the sum of all losses shrinks most at each choice: N^2 sums a destination
    PAIRS = "pairs"  #: pairs in order of their loss: one sort of N^2, may run out of pairs above half of the tokens
    DENSITY = "density"  #: most neighbours within a radius, as feasible in one pass over counts: ignores losses


def _check_drop(drop: int, tokens: int, destinations: int) -> None:
    if not 0 <= drop <= tokens - destinations:
        raise VidaError(f"{drop} of {tokens} tokens dropped with {destinations} destinations: "
                        f"0..{tokens - destinations} allowed")


def cover(loss: Tensor, count: int) -> Tensor:
    """`count` destinations, sorted: each the candidate with the least sum of min(loss so far, loss to it).

    loss : (N, N), source by destination. The first is the medoid.
    """
    chosen: list[int] = []
    best = torch.full((len(loss),), 1 << 40)
    for _ in range(count):
        total = torch.minimum(best[:, None], loss).sum(0)
        total[chosen] = 1 << 62
        place = int((total == total.min()).nonzero()[0])
        chosen.append(place)
        best = torch.minimum(best, loss[:, place])
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def densest(loss: Tensor, count: int, permille: int) -> Tensor:
    """`count` destinations, sorted: each the token with most neighbours that no earlier one has covered.

    A neighbour is a token, itself included, at a loss of at most the radius: element (N^2 - 1) * `permille` //
    1000 of all losses in order. Raises `VidaError` for a share outside 0..1000.
    """
    if not 0 <= permille <= 1000:
        raise VidaError(f"radius of {permille} permille, 0..1000 allowed")
    near = loss <= loss.flatten().sort().values[(loss.numel() - 1) * permille // 1000]
    open_, chosen = torch.ones(len(loss), dtype=torch.bool), []
    for _ in range(count):
        neighbours = (near & open_[:, None]).sum(0)
        neighbours[chosen] = -1
        place = int((neighbours == neighbours.max()).nonzero()[0])
        chosen.append(place)
        open_ &= ~near[:, place]
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def assign(loss: Tensor, destinations: Tensor, drop: int) -> RowTable:
    """Every source at its nearest destination; the `drop` sources of least loss are copied, the rest kept.

    loss : (N, N), destinations (D,) sorted. Source: AsymRnR (ICML 2025, code), ToMe (2023, code). Raises
    `VidaError` for more drops than sources.
    """
    _check_drop(drop, len(loss), len(destinations))
    source = torch.ones(len(loss), dtype=torch.bool).index_fill(0, destinations, False).nonzero()[:, 0]
    to = loss[source][:, destinations]
    least = to.amin(-1, keepdim=True)
    nearest = destinations[(to == least).int().argmax(-1)]
    order = least[:, 0].sort(stable=True).indices[:drop]
    order = order[source[order].argsort()]
    copied = torch.stack((source[order], nearest[order]), 1)
    kept = torch.ones(len(loss), dtype=torch.bool).index_fill(0, copied[:, 0], False).nonzero()[:, 0]
    return RowTable(len(loss), kept, copied)


def closest_pairs(loss: Tensor, drop: int) -> RowTable:
    """Pairs (source, destination) in order of loss until `drop` sources are copied or no pair is left.

    Of equal losses the destination with the least total loss comes first (the more central one of a pair stays),
    then lower destination, then lower source. A destination is never dropped, a dropped token never one.
    """
    count = len(loss)
    _check_drop(drop, count, min(count, 1))
    central = loss.sum(0).sort(stable=True).indices
    order = loss.t()[central].flatten().sort(stable=True).indices      # by loss, then as `central`, then by source
    destinations, sources = central[order // count].tolist(), (order % count).tolist()
    stands: dict[int, int] = {}
    fixed: set[int] = set()
    for i, j in zip(sources, destinations, strict=True):
        if len(stands) == drop:
            break
        if i != j and i not in stands and i not in fixed and j not in stands:
            stands[i] = j
            fixed.add(j)
    copied = torch.tensor(sorted(stands.items()), dtype=torch.int64).reshape(-1, 2)
    return RowTable(count, torch.tensor([i for i in range(count) if i not in stands]), copied)


def match(loss: Tensor, drop: int, rule: Rule, destinations: int | None = None, permille: int = 50) -> RowTable:
    """The table of a matrix of tokens by a reading of DATM.

    loss : (N, N) int64; `drop` tokens are copied; `destinations` (of COVER and DENSITY) is N - drop unless given:
    then every kept token is a destination. `permille` is DENSITY's radius. Raises `VidaError` for a drop that
    leaves fewer tokens than destinations.
    """
    count = len(loss) - drop if destinations is None else destinations
    _check_drop(drop, len(loss), max(1, count))
    if rule is Rule.PAIRS:
        return closest_pairs(loss, drop)
    chosen = cover(loss, count) if rule is Rule.COVER else densest(loss, count, permille)
    return assign(loss, chosen, drop)
