# SPDX-License-Identifier: Apache-2.0
"""LOAD and STORE as the prediction sees them: bursts on the memory's bus."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from host.memory_model import Memory
from hw.config import MachineConfig
from hw.control.isa import Instruction

#: Beats of the longest burst; bursts under way.
_BURST, _OUTSTANDING = 16, 8
#: LOAD: from a command to its first address at the memory, from the last beat to done.
_LOAD_LEAD, _LOAD_TAIL = 8, 4
#: STORE: from a command to its first beat, from the last one to done.
_STORE_LEAD, _STORE_TAIL = 10, 4


def bursts(item: Instruction, config: MachineConfig) -> Iterator[tuple[int, int]]:
    """(beats, bytes) of every burst: rows cut at multiples of the longest one."""
    size, longest, beat = item["lines"] * config.line_bytes, _BURST * config.bus_bytes, config.bus_bytes
    for row in range(item["rows"]):
        address = item["dram"] + row * item["dram_pitch"]
        end = address + size
        while address < end:
            stop = min(end, (address // longest + 1) * longest)
            yield -(-stop // beat) - address // beat, stop - address
            address = stop


class LoadModel:
    """Bursts asked for as far ahead as the unit may; a command a cycle after the one before has asked for all."""

    def __init__(self, config: MachineConfig, memory: Memory) -> None:
        self.config, self.memory = config, memory
        self.pending: deque = deque()           # (beats, bytes, done or None), not yet asked for
        self.under_way = 0
        self.free = 0.0
        self.pace = max(1, config.bus_bytes // config.line_bytes)

    def ready(self) -> float:
        """The cycle in which the next command can be taken."""
        return self.free

    def take(self, now, index: int, item: Instruction, done: Callable) -> None:
        """A command; `done(cycle)` is called when that is known."""
        found = list(bursts(item, self.config))
        self.free = now + item["rows"] + 1
        for n, (beats, size) in enumerate(found):
            self.pending.append((now + _LOAD_LEAD + n, beats, size, done if n + 1 == len(found) else None))
        self._ask(now)

    def _ask(self, now) -> None:
        while self.pending and self.under_way < _OUTSTANDING:
            when, beats, size, done = self.pending.popleft()
            self.under_way += 1
            self.memory.at(max(now, when), self._send, beats, size, done)

    def _send(self, now, beats: int, size: int, done) -> None:
        grains = max(1, size // min(self.config.bus_bytes, self.config.line_bytes))
        self.memory.read(now, size, self._arrived, done, beats=beats, pace=max(1, grains / beats))

    def _arrived(self, now, done) -> None:
        self.under_way -= 1
        if done:
            done(now + _LOAD_TAIL)
        self._ask(now + 1)


class StoreModel:
    """Beats as the buffer gives lines; done with the last response."""

    def __init__(self, config: MachineConfig, memory: Memory) -> None:
        self.config, self.memory = config, memory
        self.free = self.line = 0.0
        self.pace = max(1.0, config.bus_bytes / config.line_bytes)

    def ready(self) -> float:
        """The cycle in which the next command can be taken."""
        return self.free

    def take(self, now, index: int, item: Instruction, done: Callable) -> None:
        """A command; `done(cycle)` is called when that is known."""
        beats = sum(count for count, _ in bursts(item, self.config))
        self.free = now + item["rows"] + 1
        at = max(now + _STORE_LEAD, self.line)
        for n in range(beats):
            at += self.pace
            self.memory.write(at, self._gone, done if n + 1 == beats else None)
        self.line = at

    def _gone(self, now, done) -> None:
        if done:
            done(now + _STORE_TAIL)
