# SPDX-License-Identifier: Apache-2.0
"""The vector unit as the prediction sees it: readings of rows at the pace of their banks, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from host.bank_model import Banks, Stream
from hw.config import TILE, MachineConfig
from hw.control.isa import Instruction
from hw.memory.buffer import LINES_AHEAD
from hw.memory.operands import AHEAD
from hw.vector.operations import STREAMS, TWICE, Op
from model.exact.machine.matrix import tiles as count_of
from model.exact.vector.schedule import START, START_NORMALISE, cycles

#: From a command to its place at the unit, if that is free, and to its first operands; from the last result to done.
_AT_UNIT, _OPERANDS, _VECTOR_DONE = -2, 3, 1
#: Lines of each operand that are there when a second reading begins: the reader's queue is full.
_THERE = LINES_AHEAD + 1


class VectorModel:
    """The unit with readers that run ahead: a beat a cycle, or as the banks of its operands let it.

    Parameters
    ----------
    config : MachineConfig
    banks, at : as of `MatmulModel`
    """

    def __init__(self, config: MachineConfig, banks: Banks, at: Callable) -> None:
        self.config, self.banks, self.at = config, banks, at
        self.waiting: deque = deque()           # commands taken, not begun: instruction, cycle, done
        self.offered: tuple | None = None       # a command that is not taken yet
        self.busy = False                       # a command is under way
        self.stream: Stream | None = None       # of its reading
        self.left = self.since = 0.0            # beats to come, as of cycle `since`
        self.after: tuple = ()                  # its next readings, their beats, cycles after the last, done
        self.version = 0                        # of the cycle foreseen for the last beat

    def offer(self, now, index: int, item: Instruction, taken: Callable, done: Callable) -> None:
        """A command; `taken(cycle)` and `done(cycle)` are called when that is known."""
        self.offered = (item, taken, done)
        self._accept(now)

    def _accept(self, now) -> None:
        if self.offered and len(self.waiting) < AHEAD + (not self.busy):
            item, taken, done = self.offered
            self.offered = None
            self.waiting.append((item, now, done))
            taken(now)
            self._begin(now)

    def _begin(self, now) -> None:
        """The unit takes the next command when the one before has left it."""
        if self.busy or not self.waiting:
            return
        item, came, done = self.waiting.popleft()
        self.busy = True
        beats, start, fixed, streams = self._work(item)
        self.at(max(now + start, came + _AT_UNIT + start, came + _OPERANDS), self._first, streams, beats, fixed, done)
        self._accept(now + 1)

    def _first(self, now, streams: list[Stream], beats: float, fixed: float, done: Callable) -> None:
        """A reading's first beat enters."""
        self.stream, self.left, self.since, self.after = streams[0], beats, now, (streams[1:], beats, fixed, done)
        self.stream.rate = 0.0
        self.banks.add(now, self.stream)

    def _changed(self, now, before: float) -> None:
        """The banks give another rate."""
        self.left -= before * (now - self.since)
        self.since = now
        self.version += 1
        self.at(now + self.left / self.stream.rate, self._last, self.version)

    def _last(self, now, version: int) -> None:
        """A reading's last beat has entered."""
        if version != self.version:
            return
        self.version += 1
        stream, self.stream = self.stream, None
        self.banks.remove(now, stream)
        streams, beats, fixed, done = self.after
        if streams:
            self.at(now + _THERE, self._first, streams, max(1, beats - _THERE), fixed, done)
        else:
            self.at(now + fixed, self._end, done)

    def _end(self, now, done: Callable) -> None:
        self.busy = False
        done(now + _VECTOR_DONE)
        self._begin(now)

    def _work(self, item: Instruction) -> tuple[float, int, float, list[Stream]]:
        """Beats of a reading, cycles before and after, and for each reading the lines that a beat needs."""
        config, op = self.config, item["op"]
        lanes, size = config.lanes, config.buffer_lines
        beats = item["rows"] * count_of(item["cols"], lanes)
        each = item["rows"] * count_of(item["cols"], config.columns) / beats     # lines of an operand a beat
        x = ((False, item["x"] // size), each * (TILE if item["x_transposed"] else 1))
        beside = [((False, item[name] // size), each) for name in STREAMS[op]]
        readings = [[x, *beside, ((True, item["out"] // size), 1.0)]]
        if op in TWICE:
            readings.insert(0, [x])
        start = START_NORMALISE if op is Op.NORMALISE else START
        # What a reading waits for its rows passes while operands of one bank come one after the other.
        banks = [port for port, _ in readings[-1][:-1]]
        crowd = max(banks.count(port) for port in banks) if op in TWICE else 1
        fixed = cycles(op, item["rows"], item["cols"], lanes, again=crowd) - beats * (len(readings) - 1 + crowd) - start
        return beats, start, fixed, [Stream(clients, changed=self._changed) for clients in readings]
