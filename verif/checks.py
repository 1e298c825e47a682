# SPDX-License-Identifier: Apache-2.0
"""What every cocotb bench judges by: comparison with the law, cover points, and the report it leaves."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LOG = logging.getLogger("cocotb.vida")


class Checker:
    """Compare results with the law, count, and remember the first mismatch of `block`."""

    def __init__(self, block: str) -> None:
        self.block, self.compared, self.mismatches, self.first = block, 0, 0, ""

    def check(self, index: Any, got: Any, want: Any, bits: int = 32) -> bool:
        """Compare ints, or lists of them nested alike; `index` names the result in the first mismatch.

        `bits` is the width in which hex is shown. Raises ValueError where the lengths differ.
        """
        if isinstance(want, (list, tuple)):
            if len(got) != len(want):
                raise ValueError(f"{self.block} {index}: {len(got)} values, {len(want)} expected")
            return all([self.check(f"{index}[{i}]", got[i], want[i], bits) for i in range(len(want))])
        self.compared += 1
        if got == want:
            return True
        self.mismatches += 1
        mask, digits = (1 << bits) - 1, -(-bits // 4)
        self.first = self.first or (f"{self.block} {index}: got {got} (0x{got & mask:0{digits}x}), "
                                    f"law says {want} (0x{want & mask:0{digits}x})")
        return False

    def finish(self) -> None:
        """Print and report the counts; AssertionError with the first mismatch, or if nothing was compared."""
        _LOG.info("%s: %d values compared, %d mismatches", self.block, self.compared, self.mismatches)
        report("checks", {self.block: {"compared": self.compared, "mismatches": self.mismatches}})
        if self.mismatches or not self.compared:
            raise AssertionError(self.first or f"{self.block}: nothing was compared")


class Cover:
    """Named points that a bench must have reached; one object may serve all tests of a module."""

    def __init__(self, *required: str) -> None:
        self.required, self.hits = required, Counter()

    def hit(self, name: str, condition: Any = True) -> None:
        """Count `name` where `condition` holds; a name that is not required is counted too."""
        self.hits[name] += bool(condition)

    def finish(self) -> None:
        """Print and report every point with its hits; AssertionError for required points never hit."""
        report("cover", {name: self.hits[name] for name in (*self.required, *self.hits)})
        for name in sorted({*self.required, *self.hits}):
            _LOG.info("cover %-32s %d", name, self.hits[name])
        missed = [name for name in self.required if not self.hits[name]]
        if missed:
            raise AssertionError(f"cover points never hit: {', '.join(missed)}")


def report(section: str, values: Mapping[str, Any]) -> None:
    """Add values to a section of `report.json`, which `verif.simulator.run_bench` gives back.

    `Checker` fills the section "checks", `Cover` "cover"; a bench's own figures go to "figures".
    """
    path = Path("report.json")
    known = json.loads(path.read_text()) if path.exists() else {}
    known[section] = {**known.get(section, {}), **values}
    path.write_text(json.dumps(known))
