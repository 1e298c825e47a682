# SPDX-License-Identifier: Apache-2.0
"""LOAD and STORE as the prediction sees them: bursts on the memory's bus."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from host.bank_model import Banks, Stream
from host.memory_model import Memory
from hw.config import MachineConfig
from hw.control.isa import Instruction
from hw.memory.axi import BURST_BEATS, OUTSTANDING

#: LOAD: from a command to its first address at the memory, from the last beat to done.
_LOAD_LEAD, _LOAD_TAIL = 8, 4
#: STORE: from a command to its first beat, from the last one to done.
_STORE_LEAD, _STORE_TAIL = 10, 4
#: Beats of a STORE that have been read and are not on the bus; it reads on when half of them are.
_AHEAD = 6


def bursts(item: Instruction, config: MachineConfig) -> Iterator[tuple[int, int]]:
    """(beats, bytes) of every burst: rows cut at multiples of the longest one."""
    size, longest, beat = item["lines"] * config.line_bytes, BURST_BEATS * config.bus_bytes, config.bus_bytes
    for row in range(item["rows"]):
        address = item["dram"] + row * item["dram_pitch"]
        end = address + size
        while address < end:
            stop = min(end, (address // longest + 1) * longest)
            yield -(-stop // beat) - address // beat, stop - address
            address = stop


class LoadModel:
    """Bursts asked for as far ahead as the unit may; a command a cycle after the one before has asked for all."""

    def __init__(self, config: MachineConfig, memory: Memory, banks: Banks) -> None:
        self.config, self.memory, self.banks = config, memory, banks
        self.pending: deque = deque()           # (cycle, beats, lines of a beat, stream, done), not yet asked for
        self.under_way = 0
        self.free = 0.0
        self.writing: Stream | None = None      # of the load whose data comes

    def offer(self, now, index: int, item: Instruction, taken: Callable, done: Callable) -> None:
        """A command; `taken(cycle)` and `done(cycle)` are called when that is known."""
        now = max(now, self.free)
        taken(now)
        config = self.config
        found = list(bursts(item, config))
        self.free = now + item["rows"] + 1
        stream = Stream([((True, item["buffer"] // config.buffer_lines), 1.0)],
                        min(1.0, config.bus_bytes / config.line_bytes / self.memory.each))
        for n, (beats, size) in enumerate(found):
            self.pending.append((now + _LOAD_LEAD + n, beats, size / config.line_bytes / beats, stream,
                                 done if n + 1 == len(found) else None))
        self._ask(now)

    def _ask(self, now) -> None:
        while self.pending and self.under_way < OUTSTANDING:
            self.under_way += 1
            when, *burst = self.pending.popleft()
            self.memory.at(max(now, when), self._send, *burst)

    def _send(self, now, beats: int, lines: float, stream: Stream, done: Callable | None) -> None:
        self.memory.read(now, beats, self._arrived, stream, done, pace=lambda when: self._pace(when, lines, stream))

    def _pace(self, now, lines: float, stream: Stream) -> float:
        """Cycles in which the lines of a beat are written."""
        if self.writing is not stream:
            self._stop(now)
            self.writing = stream
            self.banks.add(now, stream)
        return max(1.0, lines * stream.limit / stream.rate)

    def _stop(self, now) -> None:
        if self.writing:
            self.banks.remove(now, self.writing)
            self.writing = None

    def _arrived(self, now, stream: Stream, done: Callable | None) -> None:
        self.under_way -= 1
        if done:
            done(now + _LOAD_TAIL)
            if self.writing is stream:
                self._stop(now)
        self._ask(now + 1)


class StoreModel:
    """Beats as the banks give lines; done with the last response."""

    def __init__(self, config: MachineConfig, memory: Memory, banks: Banks) -> None:
        self.config, self.memory, self.banks = config, memory, banks
        self.free = 0.0
        self.pending: deque = deque()               # stores to come: beats, lines, cycle of the first, stream, done
        self.left = self.ahead = 0                  # beats of the store under way not yet read; not yet gone
        self.lines = 1.0                            # of a beat
        self.current: tuple | None = None           # stream, done
        self.stalled = False

    def offer(self, now, index: int, item: Instruction, taken: Callable, done: Callable) -> None:
        """A command; `taken(cycle)` and `done(cycle)` are called when that is known."""
        now = max(now, self.free)
        taken(now)
        beats, size = sum(count for count, _ in bursts(item, self.config)), self.config.line_bytes
        self.free = now + item["rows"] + 1
        stream = Stream([((False, item["buffer"] // self.config.buffer_lines), 1.0)],
                        min(1.0, self.config.bus_bytes / size))
        self.pending.append((beats, item["rows"] * item["lines"] / beats, now + _STORE_LEAD, stream, done))
        self.memory.at(now + _STORE_LEAD, self._begin)

    def _begin(self, now) -> None:
        if self.current or not self.pending or self.pending[0][2] > now:
            return
        self.left, self.lines, _, stream, done = self.pending.popleft()
        self.current = stream, done
        self.banks.add(now, stream)
        self.memory.at(now + self._pace(), self._beat)

    def _pace(self) -> float:
        return max(1.0, self.lines / self.current[0].rate)

    def _beat(self, now) -> None:
        """A beat has been read."""
        self.left -= 1
        self.ahead += 1
        stream, done = self.current
        self.memory.write(now, self._gone, None if self.left else done)
        if not self.left:
            self.current = None
            self.banks.remove(now, stream)
            self._begin(now)
        elif self.ahead < _AHEAD:
            self.memory.at(now + self._pace(), self._beat)
        else:
            self.stalled = True
            self.banks.remove(now, stream)

    def _gone(self, now, done) -> None:
        self.ahead -= 1
        if self.stalled and self.ahead <= _AHEAD // 2:
            self.stalled = False
            self.banks.add(now, self.current[0])
            self.memory.at(now + self._pace(), self._beat)
        if done:
            done(now + _STORE_TAIL)
