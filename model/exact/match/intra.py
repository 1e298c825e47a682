# SPDX-License-Identifier: Apache-2.0
"""Law of CMC's intra-matrix prediction (Song et al., ASPLOS 2024): vectors of one matrix. Law only.

Stated (at second hand): the same prediction on vectors within one matrix, which is cut into segments with an I
part and P parts; it gives the informative vectors (IVT) and pairs for the others (N-IVT), on the fly. Not
stated: how many vectors a part holds. `part` decides: 1 compares every vector with its segment's one I vector;
N / segment is one segment of a whole matrix, whose middle part serves all others (the default of `IntraSearch`).
A vector is taken to be a row, since only a copied row saves rows of QK^T and PV; the other reading, columns, is
the same law on the transposed matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hw.errors import VidaError
from model.exact.match.cmc import Middle, Search, row_table
from model.exact.recover.tables import RowTable


@dataclass(frozen=True)
class IntraSearch:
    """How the vectors of a matrix are searched.

    Parameters
    ----------
    segment : parts of a segment, one of them the I part
    threshold : of a sum over d elements; below it a vector is copied. 0 computes all
    part : vectors of a part; None spreads one segment over the matrix
    middle : inferred choice, see there
    """

    segment: int
    threshold: int
    part: int | None = None
    middle: Middle = Middle.LOWER


def intra_table(matrix: Tensor, search: IntraSearch) -> RowTable:
    """Rows of `matrix` (N, d), computed or copied from a row of the segment's I part.

    Raises `VidaError` for vectors that do not divide into parts.
    """
    count = len(matrix)
    part = search.part if search.part is not None else count // max(1, search.segment)
    if part < 1 or count % part:
        raise VidaError(f"{count} vectors do not divide into parts of {part} ({search.segment} parts a segment)")
    parts = matrix.reshape(count // part, part, -1)
    return row_table(parts, Search(search.segment, search.threshold, search.middle))
