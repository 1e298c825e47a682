# SPDX-License-Identifier: Apache-2.0
"""The report's pictures: SVG text for plots, PNG bytes for frames. Each takes plain data and draws nothing else."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.patches
import numpy as np
from matplotlib.figure import Figure

matplotlib.use("Agg")

#: Okabe and Ito's palette: told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GRAY = "#CC79A7", "#56B4E9", "#9A9A9A"
_STYLE = {
    "font.size": 9, "font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": "#888888", "axes.labelcolor": "#333333", "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "xtick.color": "#555555", "ytick.color": "#555555", "axes.axisbelow": True,
    "legend.frameon": False, "legend.fontsize": 8, "svg.fonttype": "path", "svg.hashsalt": "vida",
}

#: Share of the table, its label, its colour.
_DIGITS = (("zero", "zero: no digit", "#E3E3E3"), ("one", "one digit", SKY), ("two", "two digits", BLUE))


def figure_of(width: float, height: float) -> Figure:
    """An empty figure in the report's style, in inches."""
    matplotlib.rcParams.update(_STYLE)
    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure) -> str:
    """SVG text of a figure, the same for the same content."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg"):]


def frames(sheets: Sequence[tuple[str, np.ndarray]], scale: int) -> bytes:
    """PNG of contact sheets (uint8, (H, W) each) two a row, each below its title; a pixel becomes scale x scale."""
    height, width = sheets[0][1].shape
    rows = -(-len(sheets) // 2)
    inches = scale / 100
    figure = figure_of(2 * width * inches + 0.4, rows * (height * inches + 0.35))
    axes = figure.subplots(rows, 2, squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for place, (title, sheet) in zip(axes.flat, sheets, strict=False):
        place.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        place.set_title(title)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def digits(table: Sequence[Mapping[str, Any]]) -> str:
    """Stacked bars of the digits that an element of each operator needs, a panel for each reference."""
    references = list(dict.fromkeys(line["reference"] for line in table))
    operators = list(dict.fromkeys(line["operator"] for line in table))
    figure = figure_of(9.5, 1.0 + 0.27 * len(operators))
    axes = figure.subplots(1, len(references), sharey=True, squeeze=False)[0]
    for place, reference in zip(axes, references, strict=True):
        lines = {line["operator"]: line for line in table if line["reference"] == reference}
        left = np.zeros(len(operators))
        for name, label, colour in _DIGITS:
            values = np.array([lines[operator][name] if operator in lines else 0 for operator in operators])
            place.barh(range(len(operators)), values, left=left, color=colour, height=0.75, label=label)
            left += values
        for row, operator in enumerate(operators):
            if operator in lines:
                place.text(0.02, row, f"{lines[operator]['zero']:.0%} zero", va="center", fontsize=7.5, color="#333333")
            else:
                place.text(0.02, row, "no such reference", va="center", fontsize=7.5, color="#999999")
        place.set(title=f"reference: {reference}", xlim=(0, 1), yticks=range(len(operators)), yticklabels=operators)
        place.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
        place.tick_params(axis="y", length=0)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return svg(figure)


#: Colour of an operator by the beginning of its last part.
_OPERATORS = {"qkv": BLUE, "scores": ORANGE, "values": RED, "out": GREEN, "fc1": SKY, "fc2": PURPLE}


def timelines(runs: Mapping[str, Sequence[Sequence[Any]]]) -> str:
    """Units x cycles of each run: [unit, operator, start, end] a span. Operators of the array have colours."""
    figure = figure_of(9.5, 0.5 + 0.95 * len(runs))
    axes = figure.subplots(len(runs), 1, squeeze=False)[:, 0]
    for place, (name, spans) in zip(axes, runs.items(), strict=True):
        units = sorted({span[0] for span in spans}, reverse=True)
        for row, unit in enumerate(units):
            mine = [span for span in spans if span[0] == unit]
            colours = [_OPERATORS.get(span[1].split(".")[1] if "." in span[1] else span[1], GRAY) for span in mine]
            place.broken_barh([(start, end - start) for _, _, start, end in mine], (row - 0.4, 0.8), color=colours,
                              linewidth=0)
        place.set(yticks=range(len(units)), yticklabels=units)
        place.set_title(f"{name}: one step", fontsize=8, fontweight="normal", pad=2)
        place.tick_params(axis="y", length=0, labelsize=7)
    axes[-1].set_xlabel("cycle")
    handles = [matplotlib.patches.Patch(color=colour, label=name) for name, colour in _OPERATORS.items()]
    figure.legend(handles=[*handles, matplotlib.patches.Patch(color=GRAY, label="other")], loc="outside upper right",
                  ncols=7)
    return svg(figure)


def occupancy(traces: Mapping[str, Mapping[str, Sequence[int]]], cycles: int = 240) -> str:
    """What the dense and the sparse lane issue in each cycle; a line marks the end of each tile."""
    figure = figure_of(9.5, 0.6 + 0.62 * len(traces))
    axes = figure.subplots(len(traces), 1, sharex=True, squeeze=False)[:, 0]
    for place, (name, trace) in zip(axes, traces.items(), strict=True):
        dense, sparse = (np.asarray(trace[lane][:cycles]) for lane in ("dense", "sparse"))
        tiles = np.flatnonzero(np.diff(trace["tile"][:cycles])) + 0.5
        place.imshow(np.stack([np.where(dense > 0, 1, 0), np.where(sparse > 0, 2, 0)]), aspect="auto",
                     cmap=matplotlib.colors.ListedColormap(["#F2F2F2", BLUE, ORANGE]), vmin=0, vmax=2,
                     interpolation="nearest")
        place.vlines(tiles, -0.5, 1.5, color="#333333", linewidth=0.6)
        place.set(yticks=(0, 1), yticklabels=("dense", "sparse"))
        place.set_title(f"{name}: dense lane busy {(dense > 0).mean():.0%}, sparse lane {(sparse > 0).mean():.0%} of "
                        f"these cycles", fontsize=8, fontweight="normal", pad=2)
        place.tick_params(axis="y", length=0, labelsize=7)
        place.spines[:].set_visible(False)
    axes[-1].set_xlabel("cycle")
    return svg(figure)


def shares(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Shares of a CCPE's area, a stacked bar for each source of figures."""
    figure = figure_of(9.5, 0.75 + 0.5 * len(columns))
    place = figure.subplots()
    colours = {"DPUs": BLUE, "SPUs": ORANGE, "allocation": GREEN, "merge": PURPLE}
    for row, parts in enumerate(columns.values()):
        left = 0.0
        for part, colour in colours.items():
            value = parts.get(part, 0.0)
            place.barh(row, value, left=left, color=colour, height=0.62, label=part if row == 0 else None)
            if value > 0.02:
                place.text(left + value / 2, row, f"{value:.1%}", ha="center", va="center", fontsize=8,
                           color="white" if part in ("DPUs", "allocation") else "#222222")
            left += value
    place.set(xlim=(0, 1), yticks=range(len(columns)), yticklabels=list(columns))
    place.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    place.invert_yaxis()
    place.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=len(colours))
    return svg(figure)


def areas(machines: Mapping[str, Mapping[str, float]], labels: Mapping[str, str], unit: str) -> str:
    """Area of a whole group of each machine, stacked by part; `labels`: part -> its name, in the order drawn."""
    figure = figure_of(9.5, 0.85 + 0.36 * len(machines))
    place = figure.subplots()
    for row, parts in enumerate(machines.values()):
        left = 0.0
        for (part, label), colour in zip(labels.items(), (BLUE, GREEN, ORANGE, "#CFCFCF"), strict=True):
            value = parts.get(part, 0.0)
            place.barh(row, value, left=left, color=colour, height=0.68, label=label if row == 0 else None)
            if value > 0.05 * max(sum(other.values()) for other in machines.values()):
                place.text(left + value / 2, row, f"{value:,.0f}", ha="center", va="center", fontsize=7.5,
                           color="white" if part in ("ccpe", "requantise") else "#222222")
            left += value
    place.set(yticks=range(len(machines)), yticklabels=list(machines), xlabel=f"area of a group, {unit}")
    place.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
    place.invert_yaxis()
    place.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=len(labels))
    return svg(figure)


def speedups(groups: Mapping[str, Mapping[str, float]]) -> str:
    """Grouped bars with their values; 1 is the rival's speed. `groups`: method -> name of the figure -> value."""
    figure = figure_of(9.5, 3.0)
    place = figure.subplots()
    names = list(dict.fromkeys(name for values in groups.values() for name in values))
    width = 0.8 / len(names)
    for n, (name, colour) in enumerate(zip(names, (BLUE, GREEN, "#BDBDBD"), strict=False)):
        at = np.arange(len(groups)) + (n - (len(names) - 1) / 2) * width
        values = [groups[group].get(name, 0.0) for group in groups]
        place.bar(at, values, width * 0.92, color=colour, label=name)
        for x, value in zip(at, values, strict=True):
            place.text(x, value + 0.02, f"{value:.2f}", ha="center", va="bottom", fontsize=8)
    place.axhline(1, color=RED, linewidth=1, linestyle="--", zorder=0)
    place.set(xticks=range(len(groups)), xticklabels=list(groups), ylabel="speed-up")
    place.tick_params(axis="x", length=0)
    place.margins(y=0.08)
    figure.legend(loc="outside upper center", ncols=3)
    return svg(figure)


def bandwidths(panels: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Speed-ups over bytes a cycle, a panel for each title: title -> method -> bytes -> speed-up; 1 is the baseline."""
    figure = figure_of(4.2 * len(panels), 2.8)
    colours = dict(zip(("dense", "original", "ditto", "vida"), (GRAY, SKY, BLUE, ORANGE), strict=True))
    for place, (title, curves) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True):
        place.axhline(1, color="#333333", linewidth=0.8)
        for method, curve in curves.items():
            widths = sorted(map(int, curve))
            place.plot(widths, [curve[str(width)] for width in widths], marker="o", markersize=3, label=method,
                       color=colours[method])
        place.set_xscale("log", base=2)
        place.set_xticks(widths, labels=map(str, widths))
        place.set_ylim(bottom=0)
        place.set(title=title, xlabel="bytes a cycle of the memory", ylabel="speed-up at equal area")
        place.legend()
    return svg(figure)


def rivals(shorter: Mapping[int, float], steps: int, points: Sequence[tuple[str, float, float]]) -> str:
    """Quality against cost: the dense network with fewer steps, and methods as points (label, cost, PSNR in dB).

    Cost is array time of a sampling run, 1 for the dense network's full run on the baseline.
    """
    figure = figure_of(9.5, 3.0)
    place = figure.subplots()
    counts = sorted(shorter)
    place.plot([count / steps for count in counts], [shorter[count] for count in counts], "o-", color=GRAY,
               markersize=4, label="dense network, fewer steps, against its full run")
    for count in counts:
        place.annotate(f"{count}", (count / steps, shorter[count]), textcoords="offset points", xytext=(0, 6),
                       ha="center", fontsize=7.5, color="#666666")
    for (label, cost, value), colour in zip(points, (BLUE, ORANGE, GREEN, PURPLE), strict=False):
        place.plot(cost, value, "D", color=colour, markersize=7, label=label)
    place.axvline(1, color=RED, linewidth=1, linestyle="--")
    place.set(xlabel=f"array time of a sampling run at equal area (1 = dense8, {steps} steps)", ylabel="PSNR, dB")
    place.margins(y=0.15)
    place.grid(axis="y", color="#EEEEEE")
    place.legend(loc="upper left")
    return svg(figure)
