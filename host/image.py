# SPDX-License-Identifier: Apache-2.0
"""What lies where in DRAM: the map that a program is written against, and the bytes to begin with."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.exact.machine.matrix import tiles

#: Every piece begins at a multiple of it.
ALIGNMENT = 128


@dataclass
class Image:
    """Pieces of DRAM, one after the other from address 0.

    Members
    -------
    pieces : name -> (address, bytes reserved)
    contents : address -> bytes that are there before the first program runs
    fresh : address -> bytes that are there before the first step of every sampling run
    size : bytes in all
    """

    pieces: dict[str, tuple[int, int]] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    fresh: dict[int, bytes] = field(default_factory=dict)
    size: int = 0

    def reserve(self, name: str, size: int) -> int:
        """Address of a new piece of `size` bytes."""
        address = self.size
        self.pieces[name] = address, size
        self.size += ALIGNMENT * tiles(size, ALIGNMENT)
        return address

    def place(self, name: str, data: bytes) -> int:
        """Address of a new piece with these bytes; the one of this name if it is there already."""
        if name not in self.pieces:
            self.contents[self.reserve(name, len(data))] = data
        return self.pieces[name][0]
