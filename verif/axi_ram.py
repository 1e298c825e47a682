# SPDX-License-Identifier: Apache-2.0
"""cocotbext-axi's memory on a device's AXI4 port, with random pauses and bus errors."""

from __future__ import annotations

import itertools
import logging
import random
import warnings
from typing import Any

with warnings.catch_warnings():
    # It is written for cocotb 1, and says so at every turn.
    warnings.simplefilter("ignore")
    from cocotbext.axi import AxiBus, AxiRam


class Ram(AxiRam):
    """`size` bytes behind the port of `dut` whose signals begin with `prefix`; clock `clk`, reset `rst`.

    Every channel rests in a cycle with chance `pause`, by `draw`. Beats at the addresses in `bad`, and outside of the
    memory, answer SLVERR.
    """

    def __init__(self, dut: Any, prefix: str, size: int, pause: float, draw: random.Random) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            super().__init__(AxiBus.from_prefix(dut, prefix), dut.clk, dut.rst, size=size)
        self.bad: set[int] = set()
        for side, channels in ((self.read_if, ("ar", "r")), (self.write_if, ("aw", "w", "b"))):
            side.log.setLevel(logging.ERROR)
            for channel in channels if pause else ():
                getattr(side, f"{channel}_channel").set_pause_generator(
                    draw.random() < pause for _ in itertools.count())
        self.read_if._read, self.write_if._write = self._read, self._write

    async def _read(self, address: int, length: int) -> bytes:
        self._check(address)
        return self.read(address, length)

    async def _write(self, address: int, text: bytes) -> None:
        self._check(address)
        self.write(address, text)

    def _check(self, address: int) -> None:
        if address in self.bad or address >= self.size:
            raise ValueError(f"nothing at {address:#x}")
