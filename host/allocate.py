# SPDX-License-Identifier: Apache-2.0
"""Lines of the global buffer, bank by bank, and matrices that lie in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    origin : first line of the whole matrix, by which it is given back
    """

    base: int
    pitch: int
    width: int
    ccpes: int
    rows: int
    cols: int
    word: int = 0
    origin: int = 0

    @property
    def matrix(self) -> Matrix:
        """Where the elements lie."""
        return Matrix(self.base, self.pitch, self.width, self.ccpes)

    @property
    def across(self) -> int:
        """Lines of a row of its tiles."""
        return self.width * tiles(TILE * self.word + self.cols, TILE * self.ccpes)

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
        across, count = self.across, tiles(self.rows, TILE)
        one = (1 << across) - 1
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
    """Lines of the buffer, taken and given back.

    A span is taken from round after round, so that what was given back longest ago is taken first and the next user of
    a place waits least for the one before.

    Parameters
    ----------
    config : MachineConfig
    spans : (first, end) lines, each in one bank; None: all banks whole
    """

    def __init__(self, config: MachineConfig, spans: Sequence[tuple[int, int]] | None = None) -> None:
        self.config = config
        if spans is None:
            each = config.buffer_lines
            spans = [(bank * each, (bank + 1) * each) for bank in range(config.buffers)]
        self._free = [[span] for span in spans]
        self._next = [first for first, _ in spans]
        self._taken: dict[int, tuple[int, int]] = {}  # first line -> span, end
        self._holders: dict[int, int] = {}

    def bank(self, line: int) -> int:
        """The bank of a line."""
        return line // self.config.buffer_lines

    def free_lines(self) -> int:
        """Lines that are not taken."""
        return sum(self._room(span) for span in range(len(self._free)))

    def _room(self, span: int) -> int:
        return sum(end - start for start, end in self._free[span])

    def take(self, lines: int, avoid: Iterable[int] = (), what: str = "matrix") -> int:
        """First of `lines` adjacent lines in one bank, in none of the banks of the lines `avoid` where possible.

        Raises `DoesNotFit` where no bank has them.
        """
        avoided = {self.bank(line) for line in avoid}
        fitting = [span for span, gaps in enumerate(self._free) if any(end - start >= lines for start, end in gaps)]
        if not fitting:
            longest = max((end - start for gaps in self._free for start, end in gaps), default=0)
            raise DoesNotFit(f"{what} needs {lines} adjacent lines of a bank; at most {longest} are free together, "
                             f"{self.free_lines()} in all banks")
        span = min(fitting, key=lambda span: (self.bank(self._free[span][0][0]) in avoided, -self._room(span)))
        place = self._next[span]
        gaps = [(start, end) for start, end in self._free[span] if end - start >= lines]
        start, end = min(gaps, key=lambda gap: (gap[1] - lines < place, gap[0]))
        first = place if start <= place <= end - lines else start
        self._free[span].remove((start, end))
        self._free[span] += [rest for rest in ((start, first), (first + lines, end)) if rest[0] < rest[1]]
        self._free[span].sort()
        self._next[span] = first + lines
        self._taken[first], self._holders[first] = (span, first + lines), 1
        return first

    def hold(self, base: int) -> None:
        """What `take` gave has one more holder, and stays until the last one gives it back."""
        self._holders[base] += 1

    def give(self, base: int) -> None:
        """Give back what `take` gave."""
        self._holders[base] -= 1
        if self._holders[base]:
            return
        span, last = self._taken.pop(base)
        gaps = sorted([*self._free[span], (base, last)])
        merged = [gaps[0]]
        for start, end in gaps[1:]:
            if start == merged[-1][1]:
                merged[-1] = merged[-1][0], end
            else:
                merged.append((start, end))
        self._free[span] = merged

    def split(self, count: int, parts: int = 2) -> list[Buffer]:
        """What is free as `count` buffers of `parts` equal spans, in different banks where possible."""
        gaps = [gap for span in self._free for gap in span]
        if count == 1:
            return [Buffer(self.config, gaps)]
        size = max((size for size in range(1, self.config.buffer_lines + 1)
                    if sum((end - start) // size for start, end in gaps) >= count * parts), default=0)
        layers = [[(start + n * size, start + (n + 1) * size) for start, end in gaps if start + (n + 1) * size <= end]
                  for n in range(self.config.buffer_lines // max(size, 1))]
        spans = [span for layer in layers for span in layer]
        return [Buffer(self.config, [spans[part * count + (n + part) % count] for part in range(parts)])
                for n in range(count)] if size else []

    def matrix(self, rows: int, cols: int, width: int, avoid: Iterable[int] = (), transposed: int = 0,
               what: str = "matrix") -> Operand:
        """Lines for a matrix.

        If it is read transposed, `transposed` rows at a time (0: never), it gets an odd pitch, and room behind it for
        the blocks of the last set of ccpes that is read.
        """
        ccpes = self.config.ccpes
        across, down = width * tiles(cols, TILE * ccpes), tiles(rows, TILE)
        if transposed:
            across, down = across | 1, down + -tiles(transposed, TILE) % ccpes
        base = self.take(across * down, avoid, what)
        return Operand(base, across, width, ccpes, rows, cols, origin=base)

    def row(self, cols: int, what: str = "row") -> Row:
        """Lines for a row of parameters."""
        count = tiles(cols, TILE * self.config.ccpes)
        return Row(self.take(count, (), what), count)
