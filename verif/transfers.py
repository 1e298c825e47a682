# SPDX-License-Identifier: Apache-2.0
"""Random transfers of the DMA, for tests and benches."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hw.config import TILE, MachineConfig
from model.exact.memory.transfer import Transfer

#: Bytes of a table's entry.
ENTRY = 4


def command(transfer: Transfer, table: int) -> dict[str, int]:
    """The transfer as a beat of `hw.memory.rows.TransferLayout`; its indices, if any, lie from line `table` on."""
    names = ("dram", "dram_pitch", "rows", "lines", "buffer", "buffer_pitch")
    return {**{name: getattr(transfer, name) for name in names}, "use_table": int(transfer.indices is not None),
            "table": table}


def table_lines(indices: Sequence[int], config: MachineConfig) -> list[int]:
    """Lines, as ints, that hold the indices; the rest of the last one is zero."""
    each = TILE * config.ccpes
    text = b"".join(index.to_bytes(ENTRY, "little", signed=True) for index in indices)
    size = ENTRY * each
    return [int.from_bytes(text[at:at + size], "little") for at in range(0, len(text), size)]


def random_transfer(draw: random.Random, config: MachineConfig, size: int, top: int,
                    indices: Sequence[int]) -> Transfer:
    """Rows within `size` bytes and below line `top`, none or all of them; two in five by the table of small `indices`.

    Rows do not overlap in the buffer; in DRAM they may.
    """
    line, most = config.line_bytes, max(len(indices), *indices)
    lines, rows = draw.choice((0, 1, 1, 2, 7, top // 16)), draw.choice((0, 1, 2, len(indices)))
    pitch, room = draw.randint(lines, lines + 3), size // line - lines
    dram_pitch = draw.randint(0, room // (2 * most))
    return Transfer(draw.randrange(room - most * dram_pitch + 1) * line, dram_pitch * line, rows, lines,
                    draw.randrange(top - len(indices) * pitch - lines), pitch,
                    indices if draw.random() < 0.4 else None)
