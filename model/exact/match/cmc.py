# SPDX-License-Identifier: Apache-2.0
"""Law of CMC's inter-matrix prediction (Song et al., ASPLOS 2024) over whole sequences. Law only.

The distances of one token are `model.exact.encode.sad`, which has a hardware block; here are the segments,
the window, the tables ITT and N-ITT, and the rows of a whole sequence. Stated by the paper (quoted at second
hand): segments of n matrices, the middle one an I frame, minimum SAD against its tokens, copied below the
threshold. Not stated: n, threshold, window, what "middle" is for an even n, what becomes of a last, shorter
segment, widths of table entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from hw.errors import VidaError
from model.exact.encode.sad import Prediction, inter_matrix_prediction, sad
from model.exact.recover.tables import RowTable


class Middle(str, Enum):
    """Inferred: the middle of an even number of matrices."""

    LOWER = "lower"  #: (n - 1) // 2: index 3 of 8, as a published re-implementation has it
    UPPER = "upper"  #: n // 2: one more matrix before the I frame than after it


class Tail(str, Enum):
    """Inferred: the last segment where n does not divide the number of matrices."""

    MIDDLE = "middle"  #: has its own middle as I frame: saves most
    DENSE = "dense"  #: is computed whole if its n's I frame is missing: no search with a moved I frame


@dataclass(frozen=True)
class Segment:
    """Matrices `first` .. `first + length - 1`; `reference` is the I frame's index, None if all are computed."""

    first: int
    length: int
    reference: int | None


def segments(
    count: int, length: int, middle: Middle = Middle.LOWER, tail: Tail = Tail.MIDDLE
) -> tuple[Segment, ...]:
    """Cut `count` matrices into segments of `length`; raises `VidaError` for a length below 1."""
    if length < 1:
        raise VidaError(f"segment length {length}, at least 1 matrix allowed")
    found = []
    for first in range(0, count, length):
        here = min(length, count - first)
        size = here if tail is Tail.MIDDLE else length
        place = size // 2 if middle is Middle.UPPER else (size - 1) // 2
        found.append(Segment(first, here, first + place if place < here else None))
    return tuple(found)


def windowed_prediction(
    frames: Tensor, reference_frame: int, threshold: int, width: int, reach: int
) -> Prediction:
    """As `inter_matrix_prediction`, but a token sees only candidates at most `reach` places away.

    frames : (F, N, d) int8 values; tokens lie row-major on a grid `width` wide, and the window is
    2 * reach + 1 rows and columns, cut at the border (inferred; codecs do so). Reach 0 compares the same place
    only. Ties go to the lowest candidate. Raises `VidaError` for a width that does not divide N or a negative
    reach.
    """
    count = frames.shape[1]
    if width < 1 or count % width or reach < 0:
        raise VidaError(f"window: width {width} and reach {reach} do not fit {count} tokens")
    row, column = torch.arange(count) // width, torch.arange(count) % width
    informative = torch.ones(frames.shape[:2], dtype=torch.bool)
    nearest = torch.zeros(frames.shape[:2], dtype=torch.int64)
    for token in range(count):
        near = ((row - row[token]).abs() <= reach) & ((column - column[token]).abs() <= reach)
        candidates = torch.nonzero(near)[:, 0]
        _, index, informative[:, token] = sad(frames[:, token], frames[reference_frame, candidates], threshold)
        nearest[:, token] = candidates[index]
    informative[reference_frame] = True
    copied = torch.argwhere(~informative)
    source = nearest[copied[:, 0], copied[:, 1]]
    return Prediction(torch.argwhere(informative), torch.cat((copied, source[:, None]), 1))


@dataclass(frozen=True)
class Search:
    """How a sequence is searched.

    Parameters
    ----------
    segment : matrices of a segment, n; 8 in a published re-implementation
    threshold : of a sum over d elements; below it a token is copied. 0 computes all
    middle, tail : inferred choices, see there
    width, reach : token grid's width and reach of the window; None searches all tokens of the I frame
    """

    segment: int
    threshold: int
    middle: Middle = Middle.LOWER
    tail: Tail = Tail.MIDDLE
    width: int | None = None
    reach: int | None = None


def predict(matrices: Tensor, search: Search) -> tuple[tuple[Segment, Prediction | None], ...]:
    """Every segment with its tables, frames counted inside the segment; None where all is computed.

    matrices : (F, N, d) int8 values. Raises `VidaError` for a window without a grid's width.
    """
    if (search.width is None) != (search.reach is None):
        raise VidaError(f"window: width {search.width} and reach {search.reach}, give both or none")
    found = []
    for segment in segments(len(matrices), search.segment, search.middle, search.tail):
        if segment.reference is None:
            found.append((segment, None))
            continue
        frames = matrices[segment.first : segment.first + segment.length]
        place = segment.reference - segment.first
        if search.width is None or search.reach is None:
            prediction = inter_matrix_prediction(frames, place, search.threshold)
        else:
            prediction = windowed_prediction(frames, place, search.threshold, search.width, search.reach)
        found.append((segment, prediction))
    return tuple(found)


def row_table(matrices: Tensor, search: Search) -> RowTable:
    """The sequence's rows, matrix * N + token, computed or copied; condensed in the ITT's order."""
    tokens = matrices.shape[1]
    kept, copied = [], []
    for segment, prediction in predict(matrices, search):
        base = segment.first * tokens
        if prediction is None or segment.reference is None:
            kept.append(base + torch.arange(segment.length * tokens))
            continue
        kept.append(base + prediction.informative @ torch.tensor([tokens, 1]))
        target = base + prediction.copied[:, :2] @ torch.tensor([tokens, 1])
        source = segment.reference * tokens + prediction.copied[:, 2]
        copied.append(torch.stack((target, source), 1))
    none = torch.zeros((0, 2), dtype=torch.int64)
    return RowTable(len(matrices) * tokens, torch.cat(kept), torch.cat((none, *copied)))


def comparisons(matrices: Tensor, search: Search) -> int:
    """Differences of two int8 values that the search takes: a cost, reported beside the work saved."""
    frames, tokens, dim = matrices.shape
    pairs = tokens * tokens
    if search.width is not None and search.reach is not None:
        height = tokens // search.width
        seen = [
            sum(min(size - 1, place + search.reach) - max(0, place - search.reach) + 1 for place in range(size))
            for size in (height, search.width)
        ]
        pairs = seen[0] * seen[1]
    searched = sum(s.length - 1 for s in segments(frames, search.segment, search.middle, search.tail)
                   if s.reference is not None)
    return searched * pairs * dim
