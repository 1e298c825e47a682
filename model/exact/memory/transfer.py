# SPDX-License-Identifier: Apache-2.0
"""Law of the DMA: which lines a transfer moves, and which bursts a run of bytes becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Transfer:
    """A LOAD or STORE; fields as in the instruction set. `dram` and `dram_pitch` in bytes, the others in lines."""

    dram: int
    dram_pitch: int
    rows: int
    lines: int
    buffer: int
    buffer_pitch: int
    indices: Sequence[int] | None = None  #: of the rows in DRAM; none: 0, 1, 2, ...

    def moves(self, line_bytes: int) -> list[tuple[int, int]]:
        """(byte address in DRAM, line of the buffer) of every line, in the order in which they move."""
        places = range(self.rows) if self.indices is None else self.indices
        return [(self.dram + places[r] * self.dram_pitch + n * line_bytes, self.buffer + r * self.buffer_pitch + n)
                for r in range(self.rows) for n in range(self.lines)]


def bursts(address: int, length: int, bus_bytes: int, burst_beats: int) -> list[tuple[int, int]]:
    """(bus-aligned address, beats) of the AXI bursts for `length` bytes from `address` on.

    A burst ends at every multiple of `burst_beats` x `bus_bytes`, which divides 4096.
    """
    cut, found, end = bus_bytes * burst_beats, [], address + length
    while address < end:
        stop = min(end, (address // cut + 1) * cut)
        first = address // bus_bytes
        found.append((first * bus_bytes, -(-stop // bus_bytes) - first))
        address = stop
    return found
