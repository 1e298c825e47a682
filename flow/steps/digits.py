# SPDX-License-Identifier: Apache-2.0
"""Digits of the captured operands: how many an element needs, by operator and reference."""

from __future__ import annotations

import numpy as np
import torch

from model.exact.encode.encoder import digits
from verif.operators import Operands, Operator


def digit_shares(part: Operands) -> tuple[float, float, float]:
    """Shares of the left operands' elements that need no digit, one, or more."""
    counts = np.zeros(3)
    for entry in part.entries:
        difference = entry.current.to(torch.int64) - entry.reference
        number = (digits(difference) != 0).sum(0).clamp(max=2)
        counts += torch.bincount(number.flatten(), minlength=3).numpy()
    return tuple((counts / counts.sum()).tolist())


def digit_table(work: dict[tuple[Operator, str], Operands]) -> list[dict[str, object]]:
    """A line for each operator and reference: `operator`, `reference`, `zero`, `one`, `two` (two or more; shares)."""
    lines = []
    for (operator, reference), part in work.items():
        zero, one, two = digit_shares(part)
        lines.append({"operator": operator.label, "reference": reference, "zero": zero, "one": one, "two": two})
    return lines
