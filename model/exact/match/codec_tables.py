# SPDX-License-Identifier: Apache-2.0
"""CMC's four tables as memory words, and the buffer addresses that they drive (ASPLOS 2024). Law only.

ITT and IVT list what is computed, N-ITT and N-IVT what is copied and from where; inter- and intra-matrix
tables have one form, of frames and tokens or of parts and vectors. The paper's entry widths are not published:
these are the least that hold a segment.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hw.errors import VidaError
from model.exact.encode.sad import Prediction


@dataclass(frozen=True)
class TableShape:
    """A segment of `frames` matrices of `tokens` tokens whose I frame is `reference`."""

    frames: int
    tokens: int
    reference: int

    def __post_init__(self) -> None:
        if not (0 <= self.reference < self.frames and self.tokens > 0):
            raise VidaError(f"segment of {self.frames} x {self.tokens} tokens has no I frame {self.reference}")

    @property
    def informative_bits(self) -> int:
        """Width of an entry of ITT or IVT: frame * tokens + token."""
        return _bits(self.frames * self.tokens)

    @property
    def token_bits(self) -> int:
        """Width of a reference in N-ITT or N-IVT: a token of the I frame."""
        return _bits(self.tokens)

    @property
    def copied_bits(self) -> int:
        """Width of an entry of N-ITT or N-IVT: place among the tokens of the P frames, then the reference."""
        return _bits((self.frames - 1) * self.tokens) + self.token_bits


def _bits(count: int) -> int:
    return max(1, (count - 1).bit_length())


def pack(prediction: Prediction, shape: TableShape) -> tuple[list[int], list[int]]:
    """ITT and N-ITT words of a segment.

    ITT word: frame * tokens + token. N-ITT word: ((P frame * tokens + token) << token_bits) + reference token,
    where P frames are counted without the I frame.
    """
    informative = [frame * shape.tokens + token for frame, token in prediction.informative.tolist()]
    copied = []
    for frame, token, source in prediction.copied.tolist():
        place = (frame - (frame > shape.reference)) * shape.tokens + token
        copied.append((place << shape.token_bits) + source)
    return informative, copied


def unpack(informative: list[int], copied: list[int], shape: TableShape) -> Prediction:
    """The inverse of `pack`; raises `VidaError` for a word that is wider than an entry or names no token."""
    tokens, entries = [], []
    for word in informative:
        if not 0 <= word < shape.frames * shape.tokens:
            raise VidaError(f"ITT word {word}, 0..{shape.frames * shape.tokens - 1} allowed")
        tokens.append(divmod(word, shape.tokens))
    for word in copied:
        place, source = word >> shape.token_bits, word & ((1 << shape.token_bits) - 1)
        if not (0 <= place < (shape.frames - 1) * shape.tokens and source < shape.tokens):
            raise VidaError(f"N-ITT word {word} names no token of {shape.frames - 1} x {shape.tokens}")
        frame, token = divmod(place, shape.tokens)
        entries.append((frame + (frame >= shape.reference), token, source))
    return Prediction(
        torch.tensor(tokens, dtype=torch.int64).reshape(-1, 2), torch.tensor(entries, dtype=torch.int64).reshape(-1, 3)
    )


def addresses(rows: Tensor, columns: int, banks: int) -> tuple[Tensor, Tensor]:
    """Where the results of computed rows go: (bank, entry), each (len(rows), columns) int64.

    The adder tree of column j scatters to bank j mod `banks`, and streamed token i to entry
    i * ceil(columns / banks) + j // banks: a token's columns lie at one entry over all banks, so that recovery
    reads a whole token at once. Stated for columns = banks (bank j, entry i); the folding of wider rows is
    inferred. Raises `VidaError` without banks.
    """
    if banks < 1:
        raise VidaError(f"{banks} banks, at least 1 allowed")
    column = torch.arange(columns)
    entry = rows[:, None] * -(-columns // banks) + column // banks
    return (column % banks).expand(len(rows), columns), entry
