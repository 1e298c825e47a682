# SPDX-License-Identifier: Apache-2.0
"""How many cycles an operation takes in the vector unit (`hw.vector.unit`) where no stream keeps it waiting."""

from __future__ import annotations

from hw.vector.operations import GROUP_MAX, TWICE, Op

#: From a beat's entry to its result at the output, and from the last result to the next command.
_PIPELINE = 21
_NEXT = 1
#: From a command to its first beat; NORMALISE has to look up its first row's sum.
START = 1
START_NORMALISE = 9
#: Cycles in which LayerNorm's row-level work takes one row.
_ROW = 4
#: From the last beat of a first reading to the first of the second one, without the levels of the tree over lanes.
_SECOND = {Op.SOFTMAX: 8, Op.LAYERNORM: 37}


def cycles(op: Op, rows: int, cols: int, lanes: int, group: int = GROUP_MAX, again: int = 1) -> int:
    """Cycles from a command to the next one.

    Parameters
    ----------
    op : which operation
    rows, cols : of the matrix
    lanes : elements of a beat
    group : rows that LayerNorm and softmax read once before the first is read again
    again : cycles of a beat of a second reading, whose operands may come from one bank
    """
    beats = -(-cols // lanes)
    if op not in TWICE:
        start = START_NORMALISE if op is Op.NORMALISE else START
        return start + rows * beats + _PIPELINE + _NEXT - 1
    late = _SECOND[op] + (lanes - 1).bit_length()
    entry, known = START, 0
    for first in range(0, rows, group):
        count = min(group, rows - first)
        ready = []
        for _ in range(count):
            entry += beats
            known = max(entry - 1 + late, known + (_ROW if op is Op.LAYERNORM else 1))
            ready.append(known)
        for at in ready:
            entry = max(entry, at) + again * beats
    return entry + _PIPELINE + _NEXT - 1
