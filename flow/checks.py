# SPDX-License-Identifier: Apache-2.0
"""What must hold of the results. Speed-ups have no limit: their true value is the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flow.results import Check, Result, value_of


@dataclass(frozen=True)
class Limit:
    """A result that must be at least `low` and at most `high`."""

    result: str
    low: float | None = None
    high: float | None = None

    def check(self, results: Sequence[Result]) -> Check | None:
        """The check of this limit; None where there is no such result."""
        value = value_of(results, self.result)
        if value is None:
            return None
        passed = (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        bounds = (("at least", self.low), ("at most", self.high))
        asked = " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
        if self.low == self.high:
            asked = f"exactly {self.low:g}"
        return Check(self.result, passed, f"{value:.4g}, must be {asked}")


LIMITS = (
    Limit("rtl.vectors", low=1),
    Limit("rtl.mismatches", low=0, high=0),
    Limit("dense.utilisation.shadow", low=0.98),
    Limit("dense.utilisation.shadow_k16", low=0.95),
    Limit("dense.utilisation.inplace", low=0.95),
    Limit("dense8.utilisation.shadow", low=0.98),
    Limit("dense8.utilisation.inplace", low=0.93),
    Limit("issue.schedule_ratio", high=1.02),
    Limit("issue.schedule_over_bound", high=1.08),
    Limit("generate.paper.seconds", high=60),
    Limit("default.utilisation.shadow", low=0.98),
    Limit("area.lane_um2.asap7", high=49.5),
    Limit("machine.utilisation.dense", low=0.80),
    Limit("machine.model_error", high=0.02),
    Limit("machine.model_error.operator", high=0.05),
    Limit("clock.peg_ps.asap7", high=1000),
)


def checks(results: Sequence[Result]) -> list[Check]:
    """The check of every limit whose result is there."""
    return [check for limit in LIMITS if (check := limit.check(results)) is not None]
