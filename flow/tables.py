# SPDX-License-Identifier: Apache-2.0
"""The report's tables: plain rows of figures, joined from the steps' results."""

from __future__ import annotations

from dataclasses import dataclass

from flow.collected import Collected
from flow.quoted import SHARES
from flow.results import Result

#: Figures of a speed-up: end of the name -> what it says.
FIGURES = {
    "vs_dense8_equal_area": "against dense8 at equal area (the claim)",
    "vs_original_skip": "against skipping alone, same array",
    "vs_dense_mode": "against the same array without skipping",
}
#: Method -> how it is named, its reference, and its quality's name (None: exact).
METHODS = {"ditto": ("Ditto", "timestep reference, exact", None), "vida": ("ViDA", "frame reference", "quality.vida")}
POLICIES = {"threshold": "", "balance": ".balance"}
#: Part of a group's area -> how it is named.
GROUP_PARTS = {"ccpe": "CCPEs", "requantise": "requantiser", "control": "encoder, allocation, queues, control",
               "store": "right store (modelled)"}


@dataclass(frozen=True)
class Speedup:
    """One line: a method under a policy, its figures, and what must stand beside them (None: not there)."""

    method: str
    note: str
    policy: str
    figures: dict[str, float | None]
    with_store: float | None
    without_store: float | None
    psnr: float | None
    exact: bool
    traffic: float | None


class Tables:
    """Tables of a report, each a list of rows."""

    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    @property
    def speedups(self) -> list[Speedup]:
        """Every method under every policy."""
        value, lines = self._collected.value, []
        for method, (name, note, quality) in METHODS.items():
            for policy, suffix in POLICIES.items():
                claim = f"speedup.{method}.vs_dense8_equal_area{suffix}"
                lines.append(Speedup(
                    name, note, policy, {end: value(f"speedup.{method}.{end}{suffix}") for end in FIGURES},
                    value(f"{claim}.with_store"), value(f"{claim}.without_store"),
                    value(f"{quality}.psnr_db") if quality else None, quality is None,
                    value(f"traffic.{method}.vs_original")))
        return lines

    @property
    def operators(self) -> list[dict[str, object]]:
        """Cycles of every operator with each reference / without one, `paper` by policy; above 1 it loses."""
        runs = [run for run in self._collected.data["simulate"]["runs"] if run["skip"]]
        rate = {(run["machine"], run["operator"], run["reference"]): run["cycles"] / run["macs"] for run in runs}
        lines = []
        for operator in dict.fromkeys(run["operator"] for run in runs):
            line: dict[str, object] = {"operator": operator}
            for policy, suffix in POLICIES.items():
                machine = f"paper{suffix}"
                for reference in ("timestep", "frame"):
                    own, plain = rate.get((machine, operator, reference)), rate.get((machine, operator, "none"))
                    line[f"{policy}.{reference}"] = own / plain if own and plain else None
            lines.append(line)
        return lines

    @property
    def depths(self) -> list[dict[str, object]]:
        """Speed-up at equal area against `dense8` of each depth, by method and policy."""
        lines = []
        for method, (name, _, _) in METHODS.items():
            for policy, suffix in POLICIES.items():
                values = {depth: self._collected.value(f"speedup.{method}.vs_dense8_depth{depth}_equal_area{suffix}")
                          for depth in (1, 2, 4)}
                lines.append({"method": name, "policy": policy, "values": values})
        return lines

    @property
    def groups(self) -> dict[str, dict[str, float]]:
        """Machine -> part of its group -> area; the parts as `GROUP_PARTS` lists them."""
        found: dict[str, dict[str, float]] = {}
        for result in self.starting("area."):
            machine, _, end = result.name.removeprefix("area.").rpartition(".group_")
            part = next((part for part in GROUP_PARTS if end.startswith(part)), None)
            if machine and part:
                found.setdefault(machine, {})[part] = result.value
            store = result.name.removeprefix("area.").partition(".store_")
            if store[1]:
                found.setdefault(store[0], {})["store"] = result.value
        return found

    @property
    def shares_source(self) -> str:
        """Where the paper's shares stand."""
        return SHARES["DPUs"].source

    def starting(self, prefix: str) -> list[Result]:
        """The results whose names begin with `prefix`, in order."""
        return [result for result in self._collected.results if result.name.startswith(prefix)]
