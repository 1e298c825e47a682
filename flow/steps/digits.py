# SPDX-License-Identifier: Apache-2.0
"""Digits of the captured operands: how many an element needs, by operator and reference."""

from __future__ import annotations

import numpy as np

from verif.operators import Operands, Operator


def digit_shares(part: Operands) -> tuple[float, float, float]:
    """Shares of the left operands' elements that need no digit, one (magnitude up to 15), or two."""
    counts = np.zeros(3)
    for entry in part.entries:
        magnitude = (entry.current - entry.reference).abs().numpy()
        counts += [(magnitude == 0).sum(), ((magnitude > 0) & (magnitude <= 15)).sum(), (magnitude > 15).sum()]
    return tuple((counts / counts.sum()).tolist())


def digit_table(work: dict[tuple[Operator, str], Operands]) -> list[dict[str, object]]:
    """A line for each operator and reference: `operator`, `reference`, `zero`, `one`, `two` (shares)."""
    lines = []
    for (operator, reference), part in work.items():
        zero, one, two = digit_shares(part)
        lines.append({"operator": operator.label, "reference": reference, "zero": zero, "one": one, "two": two})
    return lines
