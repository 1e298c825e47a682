# SPDX-License-Identifier: Apache-2.0
"""Rows that are computed together, and how they are found in the residual stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from host.allocate import Buffer, Operand
from host.build import Mapping
from hw.config import TILE
from model.networks import NetworkConfig

#: Rows that a group's half has at least.
PART_ROWS = 16


@dataclass(frozen=True)
class Group:
    """Rows that a block computes together, on one PEG.

    Members
    -------
    index : place among the groups of a block: of a spatial block, the frame
    stream : its part of the residual stream, from which `mapping` (or none) takes the rows
    rows : how many
    length : rows that attend to each other; `rows` is a multiple
    unit : PEG
    buffer : where its intermediate results lie
    first : of a part, its first row in the group
    """

    index: int
    stream: Operand
    mapping: Mapping | None
    rows: int
    length: int
    unit: int
    buffer: Buffer
    first: int = 0

    def parts(self) -> list[Group]:
        """Its halves, so that the array computes one while the vector unit has the other; a small group whole."""
        tokens = self.rows if self.mapping is None else self.rows // self.length
        if self.rows < 2 * PART_ROWS or tokens % (2 * TILE):
            return [self]
        half = None if self.mapping else tokens // 2
        return [replace(self, stream=self.stream.part(row=n * tokens // 2, rows=half), rows=self.rows // 2,
                        first=n * self.rows // 2) for n in range(2)]


def groups(stream: Operand, network: NetworkConfig, axis: str, pegs: int, buffers: Sequence[Buffer]) -> list[Group]:
    """Groups of about as many rows as a frame has: frames, or sets of tokens in all frames.

    The stream's rows are (frame, token); those of a temporal group are computed as (token, frame). Groups take turns
    with PEGs and `buffers`: as many as there are buffers can be under way.
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
    return [Group(n, part, mapping, rows[n], length, n % pegs, buffers[n % len(buffers)])
            for n, part in enumerate(parts)]
