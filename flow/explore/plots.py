# SPDX-License-Identifier: Apache-2.0
"""Pareto plots: throughput of a group against its area, a panel for all operators and for each kind."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flow.explore.best import Setting
from flow.explore.evaluate import ALL, KINDS, Evaluated
from flow.explore.space import GATES
from flow.pictures import BLUE, GRAY, GREEN, ORANGE, PURPLE, RED, SKY

#: Okabe and Ito's palette, and a marker for each variant, so that colour is never needed.
_STYLES = tuple(zip((GRAY, BLUE, ORANGE, GREEN, PURPLE, RED, SKY, "#222222", "#8C8C00", "#F0E442"), "soD^vPX*<>"))


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those (area, throughput) that no other has both smaller and faster, by area."""
    result: list[tuple[float, float]] = []
    for area, speed in sorted(points, key=lambda point: (point[0], -point[1])):
        if not result or speed > result[-1][1]:
            result.append((area, speed))
    return result


def pareto(found: Sequence[Evaluated], library: str, setting: Setting) -> bytes:
    """PNG of one library's machines with `setting`; lines of equal throughput for area are straight through 0."""
    matplotlib.rcParams.update({"font.size": 8, "axes.titlesize": 9, "axes.spines.top": False,
                                "axes.spines.right": False, "legend.frameon": False})
    figure = Figure(figsize=(11, 6), layout="constrained")
    *panels, last = figure.subplots(2, 4).flat
    for place, operator in zip(panels, (ALL, *KINDS), strict=True):
        _panel(place, [machine for machine in found if machine.library == library], setting, operator)
    last.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    last.legend(handles, labels, loc="center")
    area, speed = ("gate equivalents", "MAC/cycle") if library == GATES else ("um2", "GMAC/s")
    figure.supxlabel(f"area of a group without right store, {area} (measured, {library})")
    figure.supylabel(f"{speed} of a group (cycles modelled)")
    figure.suptitle(f"{setting}; dotted: best throughput for area; line: Pareto front", fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _panel(place: Axes, found: Sequence[Evaluated], setting: Setting, operator: str) -> None:
    points: dict[str, list[tuple[float, float]]] = {}
    for machine in found:
        clock = 1.0 if machine.silicon.path_ps is None else 1000 / machine.silicon.path_ps
        rate = machine.rates[setting.steps, setting.reference, operator]
        points.setdefault(machine.configured.variant, []).append((machine.silicon.logic, clock / rate.cycles_per_mac))
    every = [point for some in points.values() for point in some]
    slope = max(speed / area for area, speed in every)
    right = max(area for area, _ in every) * 1.05
    place.plot([0, right], [0, slope * right], ":", color="#888888", linewidth=1)
    place.step(*zip(*front(every), strict=True), where="post", color="#BBBBBB", linewidth=1, zorder=0)
    for n, (variant, some) in enumerate(points.items()):
        colour, marker = _STYLES[n % len(_STYLES)]
        place.plot(*zip(*some, strict=True), marker, color=colour, markersize=5, label=variant, markeredgewidth=0)
    place.set(title="all operators, weighted" if operator == ALL else operator, xlim=(0, right),
              ylim=(0, max(speed for _, speed in every) * 1.12))
    place.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value / 1000:g}k"))
