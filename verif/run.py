# SPDX-License-Identifier: Apache-2.0
"""Every bench with the configurations that it runs on by default, and what a run of all of them says."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from hw.config import Allocation, Lane, MachineConfig, load_config
from hw.errors import VidaError
from hw.workspace import build_folder
from verif.coverage import LineCoverage, line_coverage
from verif.simulator import BenchResult

_DEEP = {"depth": 2, "allocation": "threshold", "drain": "inplace"}
_SPARSE = {"allocation": "sparse", "sparse_sum": "shared", "queue_depth": 8}
_MERGE = {"depth": 2, "allocation": "merge", "scan": 8, "slots": 8, "queue_depth": 4}
#: bench -> changes to `tiny` (a leading preset name in `base` is changed instead); small, for builds cost most.
PLAN: dict[str, tuple[dict[str, object], ...]] = {
    "multiplier": ({}, {"base": "dense8"}),
    "encoder": ({}, {**_MERGE}),
    "allocation": ({}, {"depth": 2, "allocation": "threshold"}, {**_SPARSE}),
    "merge": ({**_MERGE, "buses": 4}, {"allocation": "merge"}),
    "ccpe": ({}, {**_DEEP}, {**_SPARSE}, {**_MERGE, "drain": "inplace"}),
    "requantise": ({"ccpes": 1}, {"ccpes": 2, "requantise_cycles": 3}),
    "vector": ({"ccpes": 1, "k_max": 8192},),
    "dma": ({"bus_bytes": 64, "ccpes": 1, "buffer_lines": 128}, {"bus_bytes": 16, "buffer_lines": 128}),
    "peg": ({}, {**_DEEP, "sparse_sum": "shared"}, {**_MERGE, "ccpes": 1}, {"base": "dense8", "ccpes": 2}),
    "sad": ({},),
}
#: Benches of blocks that only some policies have.
POLICIES = {"encoder": tuple(Allocation), "merge": (Allocation.MERGE,),
            "allocation": tuple(policy for policy in Allocation if policy is not Allocation.MERGE)}


@dataclass(frozen=True)
class Outcome:
    """One bench on one configuration. `compared` and `mismatches` add up its tests; `cover` is name -> hits."""

    bench: str
    config: MachineConfig
    result: BenchResult
    lines: tuple[LineCoverage, ...]

    @property
    def passed(self) -> bool:
        """Whether all of its tests passed."""
        return self.result.passed

    @property
    def compared(self) -> int:
        """Values compared with the law."""
        return sum(check["compared"] for check in self.result.report.get("checks", {}).values())

    @property
    def mismatches(self) -> int:
        """Values that differ."""
        return sum(check["mismatches"] for check in self.result.report.get("checks", {}).values())

    @property
    def cover(self) -> dict[str, int]:
        """Cover points with their hits."""
        return self.result.report.get("cover", {})


def bench_names() -> list[str]:
    """Names of the benches, in the order in which they run."""
    return list(PLAN)


def plan(names: Iterable[str] = (), config: MachineConfig | None = None) -> list[tuple[str, MachineConfig]]:
    """(bench, configuration) of the named benches, of all where none is named; with `config` only on that one.

    Raises VidaError for an unknown bench, and for one whose block `config` does not have.
    """
    chosen = list(names) or [name for name in PLAN if config is None or _has(config, name)]
    for name in chosen:
        if name not in PLAN:
            raise VidaError(f"unknown bench {name!r}: known are {', '.join(PLAN)}")
        if config is not None and not _has(config, name):
            raise VidaError(f"bench {name}: {config.name}, lane {config.lane.value}, allocation "
                            f"{config.allocation.value}, has no such block")
    if config is not None:
        return [(name, config) for name in chosen]
    return [(name, _configuration(changes)) for name in chosen for changes in PLAN[name]]


def _has(config: MachineConfig, bench: str) -> bool:
    return bench not in POLICIES or (config.lane is Lane.DIGIT and config.allocation in POLICIES[bench])


def _configuration(changes: dict[str, object]) -> MachineConfig:
    base = load_config(str(changes.get("base", "tiny")))
    return base.replace(**{name: value for name, value in changes.items() if name != "base"})


def run_one(bench: str, config: MachineConfig, *, seed: int = 1) -> Outcome:
    """Run one bench on `config`, with coverage, in its folder below `build/benches`."""
    module = importlib.import_module(f"verif.bench_{bench}")
    workdir = build_folder("benches", f"{bench}-{config.name}-{config.digest()[:8]}")
    result = module.run(workdir, seed=seed, coverage=True, **_taken(module, config))
    return Outcome(bench, config, result, tuple(line_coverage([result.coverage]) if result.coverage else ()))


def _taken(module: ModuleType, config: MachineConfig) -> dict[str, MachineConfig]:
    """The configuration, for a bench that takes one."""
    return {"config": config} if "config" in inspect.signature(module.run).parameters else {}
