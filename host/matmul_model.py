# SPDX-License-Identifier: Apache-2.0
"""A matmul unit as the prediction sees it: tile after tile, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from host.bank_model import Banks, Stream
from hw.compute.ccpe import CCPE
from hw.compute.peg import JOBS_OPEN, issue_unit
from hw.config import TILE, Drain, Lane, MachineConfig
from hw.control.isa import Instruction
from hw.encode.encoder import Encoder
from hw.memory.operands import AHEAD
from hw.payloads import Init
from model.exact.machine.matrix import tiles as count_of

#: From a command to its first left beat at the group, right row and init row; from a full right slot to the issue unit.
_LEFT, _RIGHT, _INIT, _FULL = 6, 6, 7, -1
#: From a tile's last row to done, int8 later.
_DONE, _DONE_INT8 = 1, 6
#: Cycles by which its lines may be late before the lanes wait.
_SLACK = 8
#: Commands under way: one at the writer and those that it takes ahead.
_COMMANDS = AHEAD + 1


class _Matmul:
    """One instruction: tiles by column and panel, and what they need beside issues."""

    def __init__(self, item: Instruction, issue: np.ndarray, came: float, done: Callable,
                 config: MachineConfig) -> None:
        self.item, self.issue, self.came, self.done = item, issue.tolist(), came, done
        self.across, self.k = count_of(item["cols"], config.columns), item["k"]
        self.total = self.across * len(self.issue)
        self.tile = 0
        self.loads = item["init"] in (Init.BIAS, Init.TILE)
        self.turned = TILE if item["init"] is Init.TILE and item["init_transposed"] else 0
        each = config.requantise_cycles if item["emit_int8"] else 1
        self.rows = TILE * each if item["emit_int8"] or item["emit_accumulators"] else 0
        self.tail = _DONE_INT8 if item["emit_int8"] else _DONE
        # Where a slot takes longer to fill than its tiles to issue, their lines have that time.
        self.stretch = max(1.0, self.k / max(1.0, sum(self.issue)))

    def stream(self, config: MachineConfig) -> Stream:
        """The lines of the buffer that it moves in a cycle of its issues."""
        item, size, count = self.item, config.buffer_lines, self.total
        left = count * count_of(self.k, config.columns)
        clients = [(False, "current", left), (False, "right", self.across * self.k / TILE)]
        if item["use_reference"]:
            clients.append((False, "reference", left))
        if item["init"] is Init.TILE:
            clients.append((False, "init_address", TILE * count))
        for kind, name in (("emit_accumulators", "accumulators"), ("emit_int8", "int8")):
            if item[kind]:
                clients.append((True, name, TILE * count))
        length = max(1.0, self.across * sum(self.issue) * self.stretch)
        return Stream([((writes, item[name] // size), lines / length) for writes, name, lines in clients])


class MatmulModel:
    """One group with its loaders and writer, tile by tile.

    Parameters
    ----------
    config : MachineConfig
    issue : index of a MATMUL -> cycles of each of its panels in the lanes
    banks : the buffer's
    at : at(cycle, function, *arguments) has the function called then
    """

    def __init__(self, config: MachineConfig, issue: Mapping[int, np.ndarray], banks: Banks, at: Callable) -> None:
        self.config, self.issue, self.banks, self.at = config, issue, banks, at
        self.shadow = config.drain is Drain.SHADOW
        self.issuing = issue_unit(config).latency
        self.lead = _LEFT + self.issuing + (Encoder.latency if config.lane is Lane.DIGIT else 0)
        self.offered: tuple | None = None
        self.commands: deque[_Matmul] = deque()                 # taken, tiles to come
        self.unclosed = self.under_way = 0                      # tiles of those; commands not done
        self.running = False
        # Cycles: the last tile's issues end, the slot filled last is full, this column's slot is, the slots were freed,
        # the last tile is captured to leave, the rows of the last two have left.
        self.end = self.filled = self.full = self.captured = 0.0
        self.freed, self.left = deque([0.0, 0.0], 2), deque([0.0, 0.0], 2)
        self.stream: Stream | None = None
        self.late = 0.0                                         # by how much the lines are behind the lanes

    def offer(self, now, index: int, item: Instruction, taken: Callable, done: Callable) -> None:
        """A command; `taken(cycle)` and `done(cycle)` are called when that is known."""
        self.offered = index, item, taken, done
        self._accept(now)

    def _accept(self, now) -> None:
        if not self.offered or self.unclosed > JOBS_OPEN or self.under_way == _COMMANDS:
            return
        index, item, taken, done = self.offered
        self.offered = None
        command = _Matmul(item, self.issue[index], now, done, self.config)
        self.commands.append(command)
        self.unclosed += command.total
        self.under_way += 1
        taken(now)
        if not self.running:
            self._next(now)

    def _next(self, now) -> None:
        """The next tile begins as its operands and the accumulators let it."""
        self.running = bool(self.commands)
        if not self.running:
            return
        command = self.commands[0]
        if command.tile % len(command.issue) == 0:
            self.filled = max(self.filled, command.came + _RIGHT, self.freed[0] + 1) + command.k
            self.full = self.filled + _FULL + self.issuing
        begin = max(self.end, self.full, command.came + self.lead)
        before, last = self.left
        if self.shadow:
            # The rows of the tile before the last have left when the last one is captured.
            here = self.captured
            if command.loads:
                here = max(here, before + command.turned, command.came + _INIT + TILE if command.tile == 0 else 0)
            begin = max(begin, here - CCPE.latency)
        else:
            begin = max(begin, last - CCPE.latency + command.turned)
        self.at(begin, self._begin)

    def _begin(self, now) -> None:
        """A tile's first op is issued; where its lines come too late for it, the last one waits."""
        command = self.commands[0]
        if command.tile == 0:
            self.stream = command.stream(self.config)
            self.banks.add(now, self.stream)
        issue = command.issue[command.tile % len(command.issue)]
        late = max(0.0, self.late - (now - self.end))
        late += command.stretch * issue / self.stream.rate - issue if self.stream.rate < 1 else -issue
        self.late = max(0.0, min(late, _SLACK))
        self.at(now + issue + max(0.0, late - _SLACK), self._close)

    def _close(self, now) -> None:
        """A tile's last op is issued; its rows leave."""
        command, last = self.commands[0], self.left[-1]
        self.end = now
        self.captured = max(now + CCPE.latency, last + command.turned) if self.shadow else now + CCPE.latency
        self.left.append(self.captured + command.rows + self.shadow)
        command.tile += 1
        self.unclosed -= 1
        if command.tile % len(command.issue) == 0:
            self.freed.append(now)
        if command.tile == command.total:
            self.commands.popleft()
            self.banks.remove(now, self.stream)
            self.at(self.left[-1] + command.tail, self._done, command.done)
        self._accept(now + 1)
        self._next(now)

    def _done(self, now, done: Callable) -> None:
        self.under_way -= 1
        done(now)
        self._accept(now)
