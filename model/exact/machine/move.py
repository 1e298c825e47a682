# SPDX-License-Identifier: Apache-2.0
"""Law of LOAD and STORE: whole lines between DRAM and buffer, rows at a pitch or by a table."""

from __future__ import annotations

import numpy as np

from hw.control.isa import Instruction, Opcode
from model.exact.machine.matrix import line_bytes, row_addresses
from model.exact.machine.store import Later, Store


def move(item: Instruction, dram: Store | Later, buffer: Store | Later, ccpes: int) -> int:
    """Run one LOAD or STORE; returns the bytes moved. Undefined bytes stay undefined."""
    size, rows = line_bytes(ccpes), np.arange(item["rows"])
    dram.check(np.array([min(item["dram"], 1 << 62)]))  # an address may not fit numpy's int64
    steps = rows
    if item["use_table"]:
        steps = buffer.read(row_addresses(item["table"], len(rows), ccpes), 4)
    inside = np.arange(item["lines"] * size)
    far = item["dram"] + steps[:, None] * item["dram_pitch"] + inside
    near = (item["buffer"] + rows[:, None] * item["buffer_pitch"]) * size + inside
    if item.opcode is Opcode.LOAD:
        buffer.put(near, dram.take(far))
    else:
        dram.put(far, buffer.take(near))
    return far.size
