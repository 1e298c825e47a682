# SPDX-License-Identifier: Apache-2.0
"""Quality of whole sampling runs: int8 against float, each method against int8 dense, and fewer steps.

Contact sheets of all of them are kept beside the results, for the report.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from flow.results import Check, StepResult, results_folder
from model.evaluate import VIDEOS, fewer_steps, float_videos, integer_videos, quality
from model.gallery import contact_sheet, data_videos
from model.methods import REFRESH
from model.metrics import compare
from model.sample import STEP_CHOICES, STEPS

NETWORKS = ("small", "tiny")
#: Step counts at which the float network shows what a shorter run loses.
SHORTER = (40, 30, 20, 10)
_MEASURES = {"psnr_db": "dB", "ssim": "1", "cosine": "1"}


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Sample with every method and network; writes sheets.npz (uint8 pictures, `<network>_<row>`). Needs no `pdk`."""
    torch.set_num_threads(1)
    step, sheets = StepResult(), {}
    for network in NETWORKS:
        prefix = "quality" if network == "small" else f"quality.{network}"
        setting = f"network {network}, {STEPS} steps, mean of {VIDEOS} videos"
        progress(f"{network}: float and int8")
        _add(step, f"{prefix}.int8", quality(network)["float"], f"{setting}, int8 dense against float")
        progress(f"{network}: vida")
        _add(step, f"{prefix}.vida", quality(network, "vida")["dense"],
             f"{setting}, vida with refresh every {REFRESH} frames against int8 dense")
        progress(f"{network}: ditto")
        exact = bool((integer_videos(network, "ditto", videos=1) == integer_videos(network, videos=VIDEOS)[:1]).all())
        step.checks.append(Check(f"{prefix}.ditto.exact", exact,
                                 f"{network}: a sampling run by timestep differences equals int8 dense bit for bit"))
        rows = {"data": data_videos(network, VIDEOS), "float": float_videos(network),
                "int8": integer_videos(network), "vida": integer_videos(network, "vida")}
        sheets |= {f"{network}_{row}": contact_sheet(videos) for row, videos in rows.items()}
    progress("small: fewer steps")
    for steps in STEP_CHOICES[1:]:
        _add(step, f"quality.steps{steps}", fewer_steps("small", steps),
             f"network small, int8 dense, {steps} against {STEPS} steps, mean of {VIDEOS} videos")
    step.data = {"refresh": REFRESH, "steps": STEPS, "videos": VIDEOS,
                 "shorter": {str(steps): shorter(steps) for steps in SHORTER}}
    np.savez_compressed(results_folder() / "sheets.npz", **sheets)
    return step


def shorter(steps: int) -> float:
    """PSNR in dB of the float network of `steps` steps against its full run, same noise; `steps` below `STEPS`."""
    return compare(float_videos("small", steps), float_videos("small"))["psnr_db"]


def _add(step: StepResult, prefix: str, values: dict[str, float], source: str) -> None:
    for name, unit in _MEASURES.items():
        step.add(f"{prefix}.{name}", values[name], unit, "measured", source)
