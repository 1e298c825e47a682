# SPDX-License-Identifier: Apache-2.0
"""Pictures of `vida quality`: quality against work left, a strip of frames per method, zeros by layer and timestep."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from flow.pictures import BLUE, GRAY, GREEN, ORANGE, PURPLE, RED, SKY, figure_of, svg

#: Kind of work -> the key of a row and what the axis says.
WORK = {"work_left": "multiply-accumulates left", "digits_left": "digit products left (two planes of int8 = 1)",
        "bytes_left": "bytes moved (dense = 1), modelled"}
_COLOURS = {"ditto": GRAY, "vida": BLUE, "cmc": ORANGE, "exion": GREEN, "orbis": RED, "dito": PURPLE, "asymrnr": SKY,
            "tome": "#8C6D31", "original": "#555555"}
_MARKS = {"ditto": "D", "vida": "o", "cmc": "s", "exion": "^", "orbis": "v", "dito": "<", "asymrnr": "P", "tome": "X",
          "original": "D"}


def against_work(rows: Sequence[Mapping[str, Any]], steps: int, key: str) -> str:
    """PSNR of every setting at `steps` steps against what it left of one kind of work, and of dense with fewer steps.

    Settings that equal int8 dense stand on a line of their own above. Open marks: float twins, to the float network.
    """
    figure = figure_of(9.5, 3.6)
    place = figure.subplots()
    here = [row for row in rows if row["steps"] == steps and row["setting"] != "dense"]
    fewer = sorted((row["steps"] / steps, row["fewer"]["psnr_db"], row["steps"]) for row in rows if "fewer" in row)
    finite = [row["psnr_db"] for row in here if row["psnr_db"] is not None] + [line[1] for line in fewer]
    top = max(finite, default=40.0) + 6
    if fewer:
        place.plot([line[0] for line in fewer], [line[1] for line in fewer], "o--", color="#777777", markersize=4,
                   label=f"int8 dense, fewer steps, against {steps}")
        for share, value, count in fewer:
            place.annotate(f"{count} steps", (share, value), textcoords="offset points", xytext=(0, 6), ha="center",
                           fontsize=7.5, color="#666666")
    told = set()
    for row in here:
        method = row["setting"].partition(".")[0].partition("+")[0]
        value = top if row["psnr_db"] is None else row["psnr_db"]
        place.plot(row[key], value, _MARKS.get(method, "."), color=_COLOURS.get(method, "#000000"), markersize=6,
                   label=None if method in told else method)
        told.add(method)
        if row.get("twin_float_db") is not None:
            place.plot(row[key], row["twin_float_db"], _MARKS.get(method, "."), color=_COLOURS.get(method, "#000000"),
                       markersize=6, markerfacecolor="none")
    place.axhline(top, color="#DDDDDD", linewidth=1)
    place.annotate("equal to int8 dense", (0.01, top), xycoords=("axes fraction", "data"), xytext=(0, 3),
                   textcoords="offset points", fontsize=7.5, color="#777777")
    place.set(xlabel=WORK[key], ylabel="PSNR to int8 dense, dB", title=f"{here[0]['network']}, {steps} steps"
              if here else "")
    place.margins(y=0.12)
    place.grid(color="#EEEEEE")
    figure.legend(loc="outside right upper", fontsize=7.5)
    return svg(figure)


def strips(videos: Mapping[str, np.ndarray], scale: int = 2) -> bytes:
    """PNG: the frames (F, H, W, real values) of one video by every setting, a row each below the other."""
    _, height, width = next(iter(videos.values())).shape
    count = len(next(iter(videos.values())))
    inches = scale / 100
    figure = figure_of(count * (width + 2) * inches + 3.0, len(videos) * (height + 4) * inches + 0.1)
    axes = figure.subplots(len(videos), 1, squeeze=False)[:, 0]
    for place, (name, frames) in zip(axes, videos.items(), strict=True):
        gaps = np.pad(frames, ((0, 0), (0, 0), (0, 2)), constant_values=1.0)
        place.imshow(np.concatenate(list(gaps), 1).clip(-1, 1), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        place.set_yticks([height / 2], [name], fontsize=7)
        place.set_xticks([])
        place.spines[:].set_visible(False)
        place.tick_params(length=0)
    return _png(figure)


def zeros(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG: share of multiplications by zero or left out, operator x timestep, a panel for every row's setting."""
    shown = [row for row in rows if row.get("zeros")]
    across = min(3, max(1, len(shown)))
    down = -(-len(shown) // across)
    lines = max((len(row["zeros"]) for row in shown), default=1)
    figure = figure_of(4.2 * across + 1, (0.12 * lines + 0.5) * down + 0.2)
    axes = figure.subplots(down, across, squeeze=False)
    image = None
    for place in axes.flat[len(shown):]:
        place.axis("off")
    for place, row in zip(axes.flat, shown, strict=False):
        names = list(row["zeros"])
        image = place.imshow(np.array(list(row["zeros"].values())), aspect="auto", vmin=0, vmax=1, cmap="viridis",
                             interpolation="nearest")
        place.set_title(f"{row['setting']}, {row['steps']} steps", fontsize=8)
        place.set_yticks(range(len(names)), names, fontsize=5)
        place.set_xticks(range(0, row["steps"], max(1, row["steps"] // 5)))
        place.tick_params(length=0, labelsize=5)
    if image is not None:
        figure.colorbar(image, ax=axes, label="zero or left out", shrink=0.6)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()
