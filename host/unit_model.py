# SPDX-License-Identifier: Apache-2.0
"""MATMUL and VECTOR units as the prediction sees them: tiles and beats, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from hw.config import TILE, Drain, MachineConfig
from hw.control.isa import Instruction, VectorOp
from hw.payloads import Init
from hw.vector.operations import Op
from model.exact.machine.matrix import tiles as count_of
from model.exact.vector.schedule import cycles

#: From a command to its first left beat at the lanes, right row and init row.
_LEFT, _RIGHT, _INIT = 9, 6, 7
#: From the last op of a tile at the lanes to the accumulators; from a tile's last row to done, int8 later.
_SUM, _DONE, _DONE_INT8 = 2, 1, 6
#: Jobs that a group takes ahead.
_JOBS = 3


class MatmulModel:
    """One group with its loaders and writer, tile by tile.

    Parameters
    ----------
    config : MachineConfig
    issue : index of a MATMUL -> cycles of each of its panels in the lanes
    """

    def __init__(self, config: MachineConfig, issue: Mapping[int, np.ndarray]) -> None:
        self.config, self.issue = config, issue
        self.free = 0.0                                         # for a command
        self.right_end = 0.0                                    # of the slot filled last
        self.freed = deque([0.0, 0.0], 2)                       # of the slots
        self.closed = deque([0.0] * _JOBS, _JOBS)               # of the last tiles
        self.left = deque([0.0, 0.0], 2)                        # when the rows of the last tiles had left
        self.written = deque([0.0] * 3, 3)                      # done, of the last instructions
        self.filled = deque([0.0] * 3, 3)

    def ready(self) -> float:
        """The cycle in which the next command can be taken."""
        return max(self.free, self.written[0], self.filled[0])

    def take(self, now, index: int, item: Instruction, done: Callable) -> None:
        """A command; `done(cycle)` is called when that is known."""
        panels, job, k = self.issue[index], now, item["k"]
        loads = item["init"] in (Init.BIAS, Init.TILE)
        turned = item["init"] is Init.TILE and item["init_transposed"]
        row_cycles = TILE * (self.config.requantise_cycles if item["emit_int8"] else 1)
        end = self.closed[-1]
        at_init = now + _INIT
        for _ in range(count_of(item["cols"], self.config.columns)):
            start = max(self.right_end, now + _RIGHT, self.freed[0] + 1)
            self.right_end = start + k
            full = self.right_end + 1
            for issue in panels:
                job = max(job + 1, self.closed[0] + 1)
                begin = max(end, full, now + _LEFT, job + 2)
                end, at_init = self._tile(begin, issue, loads, turned, row_cycles, at_init)
                self.closed.append(end)
            self.freed.append(end)
        self.free = job
        self.filled.append(self.right_end)
        finished = self.left[-1] + (_DONE_INT8 if item["emit_int8"] else _DONE)
        self.written.append(finished)
        done(finished)

    def _tile(self, begin, issue, loads: bool, turned: bool, row_cycles: int, at_init) -> tuple[float, float]:
        """When its last op is issued, given when its operands are there; its rows leave."""
        shadow = self.config.drain is Drain.SHADOW
        before, last = self.left
        if shadow:
            # The rows of the tile before the last have left when the last one is captured.
            captured = last - self._rows - 1 if last else 0.0
            here = captured
            if loads:
                here = max(here, before + (TILE if turned else 0), at_init + TILE)
            begin = max(begin, here - 2)
            end = begin + issue
            capture = max(end + _SUM, last + (TILE if turned else 0))
        else:
            begin = max(begin, last - 2 + (TILE if turned else 0))
            end = begin + issue
            capture = end + _SUM
        self._rows = row_cycles
        self.left.append(capture + row_cycles + shadow)
        return end, 0.0

    _rows = 0


#: From a command to its first beat in the unit; from the unit's last result to done.
_VECTOR, _VECTOR_DONE = 8, 1


class VectorModel:
    """The vector unit with readers that run ahead: beats at the pace of the busiest bank among its operands."""

    def __init__(self, config: MachineConfig) -> None:
        self.config = config
        self.free = 0.0                          # the unit, for its next command
        self.begun = deque([0.0] * 2, 2)

    def ready(self) -> float:
        """The cycle in which the next command can be taken."""
        return self.begun[0] + 1

    def take(self, now, index: int, item: Instruction, done: Callable) -> None:
        """A command; `done(cycle)` is called when that is known."""
        begin = max(self.free, now + _VECTOR)
        self.begun.append(begin)
        self.free = begin + self._cycles(item)
        done(self.free + _VECTOR_DONE)

    def _cycles(self, item: Instruction) -> float:
        lanes, columns = self.config.lanes, self.config.columns
        op = Op[VectorOp(item["op"]).name]
        plain = cycles(op, item["rows"], item["cols"], lanes)
        beats = item["rows"] * count_of(item["cols"], lanes)
        slices = item["rows"] * count_of(item["cols"], columns)
        names = {Op.LAYERNORM: "xuv", Op.NORMALISE: "xu", Op.GELU: "xu", Op.RESIDUAL: "xyuv", Op.SNAP: "xy"}.get(op, "x")
        banks = [item[name] // self.config.buffer_lines for name in names]
        crowd = max(banks.count(bank) for bank in banks)
        more = max(0, crowd * slices - beats)
        if item["x_transposed"]:
            more += 2 * max(0, TILE * slices - beats) if op is Op.SOFTMAX else max(0, TILE * slices - beats)
        return plain + more
