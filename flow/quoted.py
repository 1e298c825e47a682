# SPDX-License-Identifier: Apache-2.0
"""Published figures that the report shows beside its own, each with where it stands."""

from __future__ import annotations

from flow.results import Result

_VIDA = "ViDA, ASP-DAC 2025 (doi 10.1145/3658617.3697692), area table, 7 nm; each unit / the four units' sum"
#: Part of a CCPE -> the paper's share (allocation: the group's / its CCPEs).
SHARES = {part: Result(f"quoted.vida.{name}_share", value, "1", "quoted", _VIDA) for part, name, value in (
    ("DPUs", "dpu", 0.635), ("SPUs", "spu", 0.316), ("allocation", "issue", 0.009), ("merge", "merge", 0.040))}
_ABSTRACT = "ViDA, ASP-DAC 2025, hybrid lanes against lanes of one kind, area efficiency"
#: What the paper claims of its hybrid array -> our figure of the same.
HYBRID = {f"array.{name}": Result(f"quoted.vida.{name}", value, "1", "quoted", _ABSTRACT)
          for name, value in (("hybrid_over_dense", 1.10), ("hybrid_over_sparse", 1.56))}
