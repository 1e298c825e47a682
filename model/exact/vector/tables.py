# SPDX-License-Identifier: Apache-2.0
"""The four tables of a denoising step as the law evaluates them; `hw.vector.tables` builds their contents.

No law builds one: a checkpoint carries them, and the hardware holds the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hw.vector import tables
from hw.vector.tables import Table
from model.exact.vector.pwl import PwlTable


@dataclass(frozen=True)
class VectorTables:
    """The contents of the table unit for the four functions of a denoising step."""

    exp2: PwlTable
    reciprocal: PwlTable
    rsqrt: PwlTable
    gelu: PwlTable


def _evaluated(table: Table) -> PwlTable:
    return PwlTable(table.bases, table.slopes, table.input_bits, table.shift)


@cache
def build_tables() -> VectorTables:
    """All four tables; they hold no scale of any network and are the same for every checkpoint."""
    return VectorTables(*(_evaluated(table) for table in (
        tables.exp2_table(), tables.reciprocal_table(), tables.rsqrt_table(), tables.gelu_table())))
