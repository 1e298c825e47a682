# SPDX-License-Identifier: Apache-2.0
"""Quality of whole sampling runs: int8 against float, each method against int8 dense, and fewer steps.

Contact sheets of all of them are kept beside the results, for the report.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flow.quality import pictures
from flow.quality.frechet import COMMAND, Distances, kept_distances
from flow.quality.frechet import STEPS as FRECHET_STEPS
from flow.quality.runs import DENSE, Order, Runs
from flow.results import Check, StepResult, results_folder
from model.approximate.settings import DEFAULTS
from model.evaluate import VIDEOS, fewer_steps, float_videos, integer_videos, of_method
from model.gallery import contact_sheet, data_videos
from model.methods import REFRESH
from model.metrics import compare
from model.sample import STEP_CHOICES, STEPS

NETWORKS = ("small", "tiny")
#: Step counts at which the float network shows what a shorter run loses.
SHORTER = (40, 30, 20, 10)
#: Networks on which every method's default setting is run, and videos of each.
COMPARED = {"tiny": 4, "small": 1, "full": 1}
#: Steps of those runs; the fewer are the rival's.
COMPARED_STEPS = (FRECHET_STEPS, 8)
_FACTS = {"psnr_db": ("dB", "measured"), "psnr_float_db": ("dB", "measured"),
          "work_left": ("1", "measured"), "digits_left": ("1", "measured"), "bytes_left": ("1", "modelled")}
_MEASURES = {"psnr_db": "dB", "ssim": "1", "cosine": "1"}
_TO_FLOAT = {"psnr_db": "psnr_float_db", "ssim": "ssim_float", "cosine": "cosine_float"}


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Sample with every method and network; writes sheets.npz (uint8 pictures, `<network>_<row>`). Needs no `pdk`."""
    torch.set_num_threads(1)
    step, sheets = StepResult(), {}
    for network in NETWORKS:
        prefix = "quality" if network == "small" else f"quality.{network}"
        setting = f"network {network}, {STEPS} steps, mean of {VIDEOS} videos"
        progress(f"{network}: float and int8")
        found = of_method(network)
        _add(step, f"{prefix}.int8", {name: found[other] for name, other in _TO_FLOAT.items()},
             f"{setting}, int8 dense against float")
        progress(f"{network}: vida")
        if network == "small":
            _add(step, f"{prefix}.vida", of_method(network, "vida"),
                 f"{setting}, vida with refresh every {REFRESH} frames against int8 dense")
        rows = {"data": data_videos(network, VIDEOS), "float": float_videos(network),
                "int8": integer_videos(network), "vida": integer_videos(network, "vida")}
        sheets |= {f"{network}_{row}": contact_sheet(videos) for row, videos in rows.items()}
    progress("small: fewer steps")
    for steps in STEP_CHOICES[1:]:
        _add(step, f"quality.steps{steps}", fewer_steps("small", steps),
             f"network small, int8 dense, {steps} against {STEPS} steps, mean of {VIDEOS} videos")
    step.data = {"refresh": REFRESH, "steps": STEPS, "videos": VIDEOS,
                 "shorter": {str(steps): shorter(steps) for steps in SHORTER}}
    for network, videos in COMPARED.items():
        compare_methods(step, network, videos, progress)
    np.savez_compressed(results_folder() / "sheets.npz", **sheets)
    return step


def compare_methods(step: StepResult, network: str, videos: int, progress: Callable[[str], None]) -> None:
    """Add the default setting of every method on a network, and its pictures."""
    names = {setting: method for method, setting in DEFAULTS.items()}
    order = Order(network, tuple(names), COMPARED_STEPS, videos)
    runs, rows = Runs(order), []
    for steps in COMPARED_STEPS:
        for setting in (DENSE, *names) if steps == max(COMPARED_STEPS) else (DENSE,):
            progress(f"{network}: {setting}, {steps} steps")
            row = runs.row(setting, steps)
            rows.append(row | ({"fewer": runs.fewer(steps)} if steps < max(COMPARED_STEPS) else {}))
            if setting in names:
                _add_row(step, f"quality.{network}.{names[setting]}", row)
            if setting == "ditto":
                exact = torch.equal(runs.videos(setting, steps), runs.videos(DENSE, steps))
                step.checks.append(Check(f"quality.{network}.ditto.exact", exact, f"{network}: {videos} sampling runs "
                                         "by timestep differences equal int8 dense bit for bit"))
    kept = _add_distances(step, runs)
    shown = [row for row in rows if row["steps"] == max(COMPARED_STEPS)]
    strip = {row["setting"]: runs.pixels(runs.videos(row["setting"], row["steps"])[:1])[0].numpy() for row in shown}
    png = {"zeros": pictures.zeros(shown), "strips": pictures.strips(strip)}
    step.data.setdefault("compared", {})[network] = {
        "rows": [{name: value for name, value in row.items() if name not in ("zeros", "extra")}
                 | {"frechet": kept.to_source[row["setting"]] if row["steps"] == kept.steps else None} for row in rows],
        "steps": max(COMPARED_STEPS), "videos": videos,
        **{name: base64.b64encode(content).decode() for name, content in png.items()},
    }


def _add_distances(step: StepResult, runs: Runs) -> Distances:
    """Add the Frechet distances that are kept, and whether they are of what the methods give today."""
    network, kept = runs.order.network, kept_distances(runs.order.network)
    for method, setting in DEFAULTS.items():
        step.add(f"quality.{network}.{method}.frechet", kept.to_source[setting], "1", "measured",
                 f"network {network}, setting {setting}, {kept.source}")
    stale = kept.stale({name: runs.videos(name, kept.steps)[0] for name in (DENSE, *DEFAULTS.values())})
    step.checks.append(Check(f"quality.{network}.frechet.current", not stale, f"{network}: first videos are those whose"
                             f" distances are kept{f', but of {stale}: {COMMAND}' if stale else ''}"))
    return kept


def _add_row(step: StepResult, prefix: str, row: dict[str, Any]) -> None:
    source = (f"network {row['network']}, setting {row['setting']}, {row['steps']} steps, mean of {row['videos']} "
              "videos, work of one")
    for name, (unit, kind) in _FACTS.items():
        if row[name] is not None:
            step.add(f"{prefix}.{name}", row[name], unit, kind, source)


def shorter(steps: int) -> float:
    """PSNR in dB of the float network of `steps` steps against its full run, same noise; `steps` below `STEPS`."""
    return compare(float_videos("small", steps), float_videos("small"))["psnr_db"]


def _add(step: StepResult, prefix: str, values: dict[str, float | None], source: str) -> None:
    for name, unit in _MEASURES.items():
        step.add(f"{prefix}.{name}", values[name], unit, "measured", source)
