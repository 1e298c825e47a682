# SPDX-License-Identifier: Apache-2.0
"""The memory behind the bus: reads in order with a latency, writes in what they leave, one bandwidth for both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Memory:
    """As `verif/machine.cpp` has it, beat by beat; reads go first.

    Parameters
    ----------
    bus_bytes : of a beat
    bandwidth : bytes a cycle of both directions; None: what the bus carries in both
    latency : cycles from a read's address to its first data
    at : at(cycle, function, *arguments) has the function called then
    """

    def __init__(self, bus_bytes: int, bandwidth: float | None, latency: int, at: Callable) -> None:
        self.bus_bytes, self.latency, self.at = bus_bytes, latency, at
        self.each = bus_bytes / (bandwidth or 2 * bus_bytes)        # cycles of a beat
        self.reads: deque = deque()         # [ready, beats, pace, call, arguments]
        self.writes: deque = deque()        # [ready, call, arguments], a beat each
        self.free = 0.0                     # the bandwidth, the read and the write channel are free again
        self.read_free = self.write_free = 0.0
        self.planned: float | None = None

    def read(self, now, beats: int, call: Callable, *arguments, pace: Callable | None = None) -> None:
        """A burst asked for at `now`; `call(cycle, *arguments)` with its last beat.

        pace : asked with the cycle of every beat for how many cycles it keeps the reader; None: one
        """
        self.reads.append([now + self.latency, beats, pace, call, arguments])
        self._plan()

    def write(self, now, call: Callable, *arguments) -> None:
        """A beat that is there at `now`; `call(cycle, *arguments)` when it is taken."""
        self.writes.append([now, call, arguments])
        self._plan()

    def _next(self) -> tuple[float, bool] | None:
        """When the next beat can go, and whether it is a read."""
        read = max(self.reads[0][0], self.read_free, self.free) if self.reads else None
        write = max(self.writes[0][0], self.write_free, self.free) if self.writes else None
        if read is None and write is None:
            return None
        if write is None or (read is not None and read <= write):
            return read, True
        return write, False

    def _plan(self) -> None:
        coming = self._next()
        if coming and (self.planned is None or coming[0] < self.planned):
            self.planned = coming[0]
            self.at(coming[0], self._go)

    def _go(self, now) -> None:
        if self.planned is None or now < self.planned:
            return
        self.planned = None
        coming = self._next()
        if coming and coming[0] <= now:
            self.free = max(self.free, now - 1) + self.each
            if coming[1]:
                burst = self.reads[0]
                self.read_free = now + (burst[2](now) if burst[2] else 1)
                burst[1] -= 1
                if not burst[1]:
                    self.reads.popleft()
                    burst[3](now, *burst[4])
            else:
                _, call, arguments = self.writes.popleft()
                self.write_free = now + 1
                call(now, *arguments)
        self._plan()
