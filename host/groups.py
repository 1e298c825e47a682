# SPDX-License-Identifier: Apache-2.0
"""Rows that are computed together, and how they are found in the residual stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from host.allocate import Buffer, Operand
from host.build import Mapping
from hw.config import TILE
from model.networks import NetworkConfig

#: Rows that a PEG's share of a half has at least.
PART_ROWS = 16


@dataclass(frozen=True)
class Group:
    """Rows that a block computes together.

    Members
    -------
    index : place among the groups of a block: of a spatial block, the frame
    stream : its part of the residual stream, from which `mapping` (or none) takes the rows
    rows : how many
    length : rows that attend to each other; `rows` is a multiple
    units : PEGs, which share the rows
    turn : how many groups those had before
    buffer : where its intermediate results lie
    first : of a part, its first row in the group
    """

    index: int
    stream: Operand
    mapping: Mapping | None
    rows: int
    length: int
    units: tuple[int, ...]
    turn: int
    buffer: Buffer
    first: int = 0

    def parts(self) -> list[Group]:
        """Its halves, so that the array computes one while the vector unit has the other; a small group whole."""
        tokens = self.rows if self.mapping is None else self.rows // self.length
        if self.rows < 2 * PART_ROWS * len(self.units) or tokens % (2 * TILE):
            return [self]
        half = None if self.mapping else tokens // 2
        return [replace(self, stream=self.stream.part(row=n * tokens // 2, rows=half), rows=self.rows // 2,
                        first=n * self.rows // 2) for n in range(2)]

    def shares(self) -> list[tuple[int, int, int]]:
        """PEG, first row and rows of what each PEG computes: whole tiles, and rows that attend to each other in all
        frames whole."""
        each = self.length if self.mapping else TILE
        ends = [n * (self.rows // each) // len(self.units) * each for n in range(len(self.units) + 1)]
        return [(unit, start, end - start) for unit, start, end in zip(self.units, ends, ends[1:]) if end > start]


def groups(stream: Operand, network: NetworkConfig, axis: str, pegs: int, buffers: Sequence[Buffer],
           width: int) -> list[Group]:
    """Groups of about as many rows as a frame has: frames, or sets of tokens in all frames.

    The stream's rows are (frame, token); those of a temporal group are computed as (token, frame). Groups take turns
    with `buffers`: as many as there are can be under way. They take turns with PEGs too, `width` at a time.
    """
    frames, tokens = network.frames, network.tokens
    if axis == "spatial":
        parts = [stream.part(row=frame * tokens, rows=tokens) for frame in range(frames)]
        mapping, length, rows = None, tokens, [tokens] * frames
    else:
        each = TILE * max(1, tokens // frames // TILE)  # tokens of a group: whole tiles of the stream
        parts = [stream.part(row=first) for first in range(0, tokens, each)]
        mapping, length = Mapping(frames, tokens, 1), frames
        rows = [frames * min(each, tokens - first) for first in range(0, tokens, each)]
    units = [tuple((n * width + m) % pegs for m in range(width)) for n in range(len(parts))]
    return [Group(n, part, mapping, rows[n], length, units[n], n * width // pegs, buffers[n % len(buffers)])
            for n, part in enumerate(parts)]
