# SPDX-License-Identifier: Apache-2.0
"""Law of random destinations: AsymRnR's rule (ICML 2025, code) and ToMe's for diffusion (2023, code). Law only.

Stated by their code: the grid of tokens is cut into cells, one random token of each is a destination, all others
are sources; a source takes its nearest destination; the closest are dropped. AsymRnR keeps the destination's value,
ToMe takes the mean. The codes draw from the framework's generator; here it is a 32-bit xorshift (Marsaglia,
2003), which a circuit repeats bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

import torch
from torch import Tensor

from hw.errors import VidaError
from hw.numerics import saturate
from model.exact.match.datm import assign
from model.exact.recover.tables import RowTable

_MASK = (1 << 32) - 1


def xorshift32(state: int) -> Iterator[int]:
    """States after `state` of the generator with shifts 13, 17, 5; raises `VidaError` outside 1 .. 2^32 - 1."""
    if not 0 < state <= _MASK:
        raise VidaError(f"seed {state}, 1..{_MASK} allowed")
    while True:
        state ^= state << 13 & _MASK
        state ^= state >> 17
        state ^= state << 5 & _MASK
        yield state


def cells(shape: tuple[int, ...], stride: tuple[int, ...]) -> list[list[int]]:
    """Tokens of each cell; grid `shape` (frames, rows, columns) row-major, cells row-major, cut at the border.

    Raises `VidaError` for a stride below 1 or of another number of axes.
    """
    if len(shape) != len(stride) or min(stride) < 1:
        raise VidaError(f"stride {stride} for a grid of {shape}: one of at least 1 for each axis needed")
    origins = product(*(range(0, size, step) for size, step in zip(shape, stride, strict=True)))
    found = []
    for origin in origins:
        ranges = (range(at, min(at + step, size)) for at, step, size in zip(origin, stride, shape, strict=True))
        found.append([_flat(place, shape) for place in product(*ranges)])
    return found


def _flat(place: tuple[int, ...], shape: tuple[int, ...]) -> int:
    index = 0
    for at, size in zip(place, shape, strict=True):
        index = index * size + at
    return index


def draw(shape: tuple[int, ...], stride: tuple[int, ...], numbers: Iterator[int]) -> Tensor:
    """Destinations (D,), sorted: of each cell the token number modulo its size, one number a cell."""
    chosen = [cell[next(numbers) % len(cell)] for cell in cells(shape, stride)]
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def match_random(loss: Tensor, shape: tuple[int, ...], stride: tuple[int, ...], drop: int,
                 numbers: Iterator[int]) -> RowTable:
    """The table by random destinations; loss (N, N). At most all sources are dropped, as in both codes.

    Raises `VidaError` for a grid that does not hold N tokens.
    """
    if prod(shape) != len(loss):
        raise VidaError(f"grid {shape} does not hold {len(loss)} tokens")
    destinations = draw(shape, stride, numbers)
    return assign(loss, destinations, min(drop, len(loss) - len(destinations)))


def merge_mean(rows: Tensor, table: RowTable) -> Tensor:
    """ToMe's merge: kept rows (K, d) of int8 rows (N, d), each the mean of itself and those that copy it.

    Rounded half up: floor((2 sum + n) / 2n). The code averages in float.
    """
    place = torch.zeros(table.size, dtype=torch.int64)
    place[table.kept] = torch.arange(len(table.kept))
    owner = place[table.sources]
    sums = torch.zeros((len(table.kept), *rows.shape[1:]), dtype=torch.int64).index_add(0, owner, rows.long())
    count = torch.bincount(owner, minlength=len(table.kept))[:, None]
    return saturate((2 * sums + count).div(2 * count, rounding_mode="floor"), 8).to(rows.dtype)
