# SPDX-License-Identifier: Apache-2.0
"""Which pictures the report holds: data from the steps' results, drawn by `flow.pictures`."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
from markupsafe import Markup

from flow import pictures
from flow.collected import Collected
from flow.quality import pictures as compared
from flow.quoted import SHARES
from flow.tables import FIGURES, GROUP_PARTS, Tables

_ROWS = {"data": "training data", "float": "float samples", "int8": "int8 samples", "vida": "ViDA samples, int8"}
#: Network -> screen pixels for a pixel of its video.
_SCALES = {"small": 2, "tiny": 4}


def draw(collected: Collected, folder: Path) -> dict[str, Markup]:
    """Name -> HTML of every picture; `folder` holds the arrays that the steps kept."""
    simulated, sampled = collected.data["simulate"], collected.data["quality"]
    shown = {name: _svg(text) for name, text in {
        "digits": pictures.digits(simulated["digits"]),
        "occupancy": pictures.occupancy(simulated["occupancy"]),
        "shares": pictures.shares(_shares(collected)),
        "speedups": pictures.speedups({f"{line.method}, {line.policy}": {
            label: line.figures[end] or 0.0 for end, label in FIGURES.items()} for line in Tables(collected).speedups}),
        "rivals": _rivals(collected, sampled),
        "areas": pictures.areas(Tables(collected).groups, GROUP_PARTS, collected.data["synthesise"]["unit"]),
    }.items()}
    curves = collected.data["bandwidth"]
    shown["bandwidths"] = _svg(pictures.bandwidths({"tiny on tiny": curves["curve"]} | {
        f"small on {preset}, modelled": one["curve"] for preset, one in curves["small"]["presets"].items()}))
    shown["timelines"] = _svg(pictures.timelines(collected.data["machine"]["timelines"]))
    with np.load(folder / "machine.npz") as sheets:
        png = pictures.frames([(f"{name}, on the machine" if name != "float" else name, sheets[name])
                               for name in sheets.files], 6)
        shown["frames_machine"] = _png("frames from the machine", base64.b64encode(png).decode())
    shown["pareto"] = _png("throughput against area", collected.data["array"]["pareto"])
    with np.load(folder / "sheets.npz") as sheets:
        for network, scale in _SCALES.items():
            png = pictures.frames([(title, sheets[f"{network}_{row}"]) for row, title in _ROWS.items()], scale)
            shown[f"frames_{network}"] = _png(f"frames of network {network}", base64.b64encode(png).decode())
    for network, one in sampled["compared"].items():
        shown[f"methods_{network}"] = _svg("".join(compared.against_work(one["rows"], one["steps"], key)
                                                   for key in ("work_left", "digits_left")))
        for name, words in (("strips", "frames by every method"), ("zeros", "zeros by operator and timestep")):
            shown[f"{name}_{network}"] = _png(f"{words}, network {network}", one[name])
    return shown


def _png(words: str, text: str) -> Markup:
    return Markup(f'<img alt="{words}" src="data:image/png;base64,{text}">')


def _svg(text: str) -> Markup:
    return Markup(text)


def _shares(collected: Collected) -> dict[str, dict[str, float]]:
    columns = {f"vida, {library}": parts for library, parts in collected.data["synthesise"]["shares"].items()}
    return columns | {"paper (quoted)": {part: quoted.value for part, quoted in SHARES.items()}}


def _rivals(collected: Collected, sampled: dict) -> str:
    points = []
    for line in Tables(collected).speedups:
        gain = line.figures["vs_dense8_equal_area"]
        if gain and line.psnr is not None:
            points.append((f"{line.method}, {line.policy}", 1 / gain, line.psnr))
    shorter = {int(count): value for count, value in sampled["shorter"].items()}
    return pictures.rivals(shorter, sampled["steps"], points)
