# SPDX-License-Identifier: Apache-2.0
"""Lines of the global buffer, bank by bank, and matrices that lie in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hw.config import TILE, MachineConfig
from hw.errors import VidaError
from model.exact.machine.matrix import Matrix, tiles


class DoesNotFit(VidaError):
    """There is no room in the buffer; a larger one may have it."""


@dataclass(frozen=True)
class Operand:
    """A matrix in the buffer, or a part of one.

    Parameters
    ----------
    base, pitch, width, ccpes : as in `model.exact.machine.matrix.Matrix`
    rows, cols : its shape
    word : first word in its line (int8 only)
    """

    base: int
    pitch: int
    width: int
    ccpes: int
    rows: int
    cols: int
    word: int = 0

    @property
    def matrix(self) -> Matrix:
        """Where the elements lie."""
        return Matrix(self.base, self.pitch, self.width, self.ccpes)

    def part(self, row: int = 0, rows: int | None = None, col: int = 0, cols: int | None = None) -> Operand:
        """Rows and columns from `row` and `col`, multiples of 4 (columns of a line, but for int8)."""
        line, rest = divmod(col + TILE * self.word, TILE * self.ccpes)
        if row % TILE or rest % TILE or (rest and self.width > 1):
            raise VidaError(f"part of a matrix from row {row}, column {col}: it begins inside a tile")
        base = self.base + row // TILE * self.pitch + self.width * line
        rows, cols = rows or self.rows - row, cols or self.cols - col
        return replace(self, base=base, rows=rows, cols=cols, word=rest // TILE)

    def lines(self) -> int:
        """A mask with bit n set for every line n that the matrix touches."""
        across = self.width * tiles(TILE * self.word + self.cols, TILE * self.ccpes)
        count, one = tiles(self.rows, TILE), (1 << across) - 1
        if self.pitch == across:
            return (1 << across * count) - 1 << self.base
        return sum(one << self.base + i * self.pitch for i in range(count))


@dataclass(frozen=True)
class Row:
    """An int32 row of parameters in the buffer, from line `base`; `count` lines."""

    base: int
    count: int

    def lines(self) -> int:
        """As `Operand.lines`."""
        return (1 << self.count) - 1 << self.base

    def part(self, first: int, cols: int, columns: int) -> Row:
        """`cols` parameters from `first`, a multiple of `columns`, those of a line."""
        return Row(self.base + first // columns, tiles(cols, columns))


class Buffer:
    """Lines of every bank, taken and given back.

    A bank is taken from round after round, so that what was given back longest ago is taken first and the next user
    of a place waits least for the one before.
    """

    def __init__(self, config: MachineConfig) -> None:
        self.config = config
        self._free: list[list[tuple[int, int]]] = [[(0, config.buffer_lines)] for _ in range(config.buffers)]
        self._next = [0] * config.buffers
        self._taken: dict[int, int] = {}

    def bank(self, line: int) -> int:
        """The bank of a line."""
        return line // self.config.buffer_lines

    def free_lines(self) -> int:
        """Lines that are not taken."""
        return sum(end - start for bank in self._free for start, end in bank)

    def take(self, lines: int, avoid: Iterable[int] = (), what: str = "matrix") -> int:
        """First of `lines` adjacent lines in one bank, in none of the banks of the lines `avoid` where possible.

        Raises `DoesNotFit` where no bank has them.
        """
        avoided = {self.bank(line) for line in avoid}
        banks = sorted(range(len(self._free)),
                       key=lambda bank: (bank in avoided, -sum(end - start for start, end in self._free[bank])))
        for bank in banks:
            gaps = [gap for gap in self._free[bank] if gap[1] - gap[0] >= lines]
            if gaps:
                start, end = min(gaps, key=lambda gap: (gap[1] - lines < self._next[bank], gap[0]))
                first = max(start, self._next[bank]) if self._next[bank] <= end - lines else start
                self._cut(bank, (start, end), first, first + lines)
                base = bank * self.config.buffer_lines + first
                self._taken[base] = lines
                return base
        room = self.config.buffers * self.config.buffer_lines
        raise DoesNotFit(f"{what} needs {lines} adjacent lines of a bank; {self.free_lines()} of {room} are free, "
                         f"in banks of {self.config.buffer_lines}")

    def _cut(self, bank: int, gap: tuple[int, int], first: int, last: int) -> None:
        self._free[bank].remove(gap)
        self._free[bank] += [rest for rest in ((gap[0], first), (last, gap[1])) if rest[0] < rest[1]]
        self._free[bank].sort()
        self._next[bank] = last

    def give(self, base: int) -> None:
        """Give back what `take` gave."""
        bank, first = divmod(base, self.config.buffer_lines)
        gaps = sorted([*self._free[bank], (first, first + self._taken.pop(base))])
        merged = [gaps[0]]
        for start, end in gaps[1:]:
            if start == merged[-1][1]:
                merged[-1] = merged[-1][0], end
            else:
                merged.append((start, end))
        self._free[bank] = merged

    def matrix(self, rows: int, cols: int, width: int, avoid: Iterable[int] = (), transposed: bool = False,
               what: str = "matrix") -> Operand:
        """Lines for a matrix; one that is read transposed gets an odd pitch and whole sets of ccpes blocks."""
        ccpes = self.config.ccpes
        across, down = width * tiles(cols, TILE * ccpes), tiles(rows, TILE)
        if transposed:
            across, down = across | 1, down + ccpes - 1
        return Operand(self.take(across * down, avoid, what), across, width, ccpes, rows, cols)

    def row(self, cols: int, what: str = "row") -> Row:
        """Lines for a row of parameters."""
        count = tiles(cols, TILE * self.config.ccpes)
        return Row(self.take(count, (), what), count)
