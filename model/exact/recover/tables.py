# SPDX-License-Identifier: Apache-2.0
"""Law of gather and scatter by a table: the condensed operand, and the full result from it. Law only.

CMC's recovery engine and the copies of ORBIS, DiTo, AsymRnR and ToMe are this one mover with different tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hw.errors import VidaError


@dataclass(frozen=True)
class RowTable:
    """Which rows of a matrix are computed, and which computed row each of the others copies.

    Members
    -------
    size : rows of the full matrix
    kept : (K,) int64, rows that are computed, in the order in which the condensed matrix holds them
    copied : (C, 2) int64 of (row, kept row that stands for it)

    Raises `VidaError` unless every row occurs once, and every source is kept.
    """

    size: int
    kept: Tensor
    copied: Tensor

    def __post_init__(self) -> None:
        rows = torch.cat((self.kept, self.copied[:, 0])).sort().values
        if not torch.equal(rows, torch.arange(self.size)):
            raise VidaError(f"{len(self.kept)} kept and {len(self.copied)} copied rows are not rows 0..{self.size - 1}")
        lost = self.copied[~torch.isin(self.copied[:, 1], self.kept), 1]
        if len(lost):
            raise VidaError(f"row {int(lost[0])} is copied from but not kept")

    @classmethod
    def whole(cls, size: int) -> RowTable:
        """The table that computes every row."""
        return cls(size, torch.arange(size), torch.zeros((0, 2), dtype=torch.int64))

    @property
    def sources(self) -> Tensor:
        """(size,) int64: the kept row that each row's values come from; a kept row's is itself."""
        sources = torch.arange(self.size)
        sources[self.copied[:, 0]] = self.copied[:, 1]
        return sources

    @property
    def computed(self) -> Tensor:
        """(size,) bool: whether a row is computed."""
        return torch.zeros(self.size, dtype=torch.bool).index_fill(0, self.kept, True)

    @property
    def kept_share(self) -> float:
        """Share of the rows that is computed: a statistic, not part of the law."""
        return len(self.kept) / self.size if self.size else 1.0


def gather(rows: Tensor, table: RowTable) -> Tensor:
    """The condensed operand: rows (size, ...) to (K, ...), in the table's order.

    Source: CMC (ASPLOS 2024), fetch by the ITT; AsymRnR (ICML 2025), attention on kept tokens.
    """
    _check(len(rows), table.size, "the matrix")
    return rows[table.kept]


def recover(condensed: Tensor, table: RowTable) -> Tensor:
    """The full matrix (size, ...) from the condensed one (K, ...): scatter by `kept`, then copy by `copied`.

    Copies read kept rows only, so their order does not matter. Source: CMC (ASPLOS 2024), recovery module;
    ORBIS and DiTo (2026), copy of the matched token's output.
    """
    _check(len(condensed), len(table.kept), "the condensed matrix")
    full = torch.zeros((table.size, *condensed.shape[1:]), dtype=condensed.dtype)
    full[table.kept] = condensed
    full[table.copied[:, 0]] = full[table.copied[:, 1]]
    return full


def copy_cycles(table: RowTable, words: int, latency: int = 1) -> int:
    """Cycles of the copies: a word is read and another written every cycle, so `latency` is paid once.

    `words` is a row's length in buffer words (entry over all banks: 1). CMC's recovery pipelines reads and
    writes; inferred: one read and one write port, which makes a row cost `words` cycles.
    """
    return len(table.copied) * words + latency if len(table.copied) else 0


def _check(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise VidaError(f"{what} has {found} rows, the table needs {expected}")
