# SPDX-License-Identifier: Apache-2.0
"""Sampling runs of methods x settings x step counts on a network, each kept, so that a second call goes on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from flow.inputs import digest
from flow.results import FORMAT, read_json, write_json
from hw.errors import VidaError
from hw.workspace import build_folder
from model import checkpoints
from model.approximate.float_twin import twin_float_db
from model.approximate.measure import sample_setting, work_facts
from model.approximate.settings import SETTINGS
from model.autoencoder import to_pixels
from model.evaluate import float_samples, integer_samples, quality
from model.networks import preset
from model.sample import STEP_CHOICES

#: Names of the runs that every setting is compared with.
DENSE, FLOAT = "dense", "float"


@dataclass(frozen=True)
class Order:
    """What is asked for: `settings` by name, each at each of `steps`, `videos` videos of `network`.

    `twins` asks for every setting's float twin too. Raises VidaError for an unknown network or number of steps.
    """

    network: str
    settings: tuple[str, ...]
    steps: tuple[int, ...] = STEP_CHOICES
    videos: int = 2
    twins: bool = False

    def __post_init__(self) -> None:
        preset(self.network)
        for steps in self.steps:
            if steps not in STEP_CHOICES:
                raise VidaError(f"{steps} steps: choose from {', '.join(map(str, STEP_CHOICES))}")
        if self.videos < 1:
            raise VidaError(f"{self.videos} videos, at least 1 needed")


class Runs:
    """Sampling runs of one order, from the folder where their digest is there already, else computed and kept."""

    def __init__(self, order: Order, folder: Path | None = None) -> None:
        self.order = order
        self.folder = folder or build_folder("quality")
        self._law = _digest_of_files(order.network)

    def row(self, setting: str, steps: int) -> dict[str, Any]:
        """Facts of one run: see `model.approximate.measure`; `setting` may be "dense" too."""
        path, key = self._place(setting, steps)
        if path.exists():
            kept = read_json(path)
            if kept["digest"] == key:
                return kept
        real, dense = torch.from_numpy(self._float(steps)), self.videos(DENSE, steps)
        facts: dict[str, Any] = {"work_left": 1.0, "digits_left": 1.0, "bytes_left": 1.0}
        if setting == DENSE:
            videos = dense
        else:
            samples = sample_setting(self.order.network, SETTINGS[setting], steps, self.order.videos)
            videos, facts = samples.videos, work_facts(samples.work)
            self._keep(path, videos)
        found = quality(self.order.network, *(self.pixels(each) for each in (videos, dense, real)))
        named = {"network": self.order.network, "setting": setting, "steps": steps, "videos": self.order.videos}
        row = {"format": FORMAT, "digest": key} | named | found | facts
        write_json(path, row)
        return row

    def twin(self, setting: str, steps: int) -> float | None:
        """PSNR in dB of a setting's float twin against the float network, None where they are equal."""
        path, key = self._place(setting, steps)
        path = path.with_suffix(".twin.json")
        key += digest("model.approximate.float_twin", ())
        if path.exists():
            kept = read_json(path)
            if kept["digest"] == key:
                return kept["twin_float_db"]
        configs = SETTINGS.get(setting, ())
        found = twin_float_db(self.order.network, configs, steps, self.order.videos)
        write_json(path, {"format": FORMAT, "digest": key, "twin_float_db": found})
        return found

    def videos(self, setting: str, steps: int) -> torch.Tensor:
        """Videos (V, F, H, W) of a run in int16 places; a setting's row must have been asked for before."""
        path, _ = self._place(setting, steps)
        if setting == DENSE and not path.with_suffix(".npy").exists():
            self._keep(path, integer_samples(self.order.network, "dense", steps, self.order.videos))
        return torch.from_numpy(np.load(path.with_suffix(".npy")).astype(np.int64))

    def fewer(self, steps: int) -> dict[str, float | None]:
        """What `steps` steps of int8 dense lose against the most steps of the order."""
        most = max(self.order.steps)
        runs = (self.videos(DENSE, steps), self.videos(DENSE, most), torch.from_numpy(self._float(most)))
        return quality(self.order.network, *(self.pixels(each) for each in runs))

    def pixels(self, videos: torch.Tensor) -> torch.Tensor:
        """Sampled videos as real pixels (V, F, H, W)."""
        return to_pixels(preset(self.order.network), videos)

    def _float(self, steps: int) -> np.ndarray:
        path = self._place(FLOAT, steps)[0].with_suffix(".npy")
        if not path.exists():
            _save(path, float_samples(self.order.network, steps, self.order.videos).numpy())
        return np.load(path)

    def _keep(self, path: Path, videos: torch.Tensor) -> None:
        _save(path.with_suffix(".npy"), videos.numpy().astype(np.int16))

    def _place(self, setting: str, steps: int) -> tuple[Path, str]:
        order = self.order
        words = (self._law, order.network, setting, str(SETTINGS.get(setting)), str(steps), str(order.videos))
        key = hashlib.sha256("|".join(words).encode()).hexdigest()[:16]
        return self.folder / f"{order.network}-{setting}-{steps}-{key}.json", key


def _save(path: Path, videos: np.ndarray) -> None:
    """Whole or not at all: a run that was cut short is none."""
    partial = path.with_name(f"{path.name}.part.npy")
    try:
        np.save(partial, videos)
        os.replace(partial, path)
    except OSError as error:
        raise VidaError(f"cannot write {path}: {error.strerror}") from error


def _digest_of_files(network: str) -> str:
    """Digest of what the law does (comments left out) and of the network's weights."""
    state = hashlib.sha256(digest("model.approximate.measure", ()).encode())
    for end in ("", "_int8"):
        file = checkpoints.WEIGHTS / f"{network}{end}.safetensors"
        if not file.exists():
            raise VidaError(f"network {network} is not in the repository: no {file}")
        state.update(file.read_bytes())
    return state.hexdigest()


def measure(order: Order, console: Console) -> tuple[Runs, list[dict[str, Any]]]:
    """Every run of the order, with progress: dense and the settings at each number of steps."""
    torch.set_num_threads(1)
    runs, rows = Runs(order), []
    wanted = [(setting, steps) for steps in order.steps for setting in (DENSE, *order.settings)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(order.network, total=len(wanted))
        for setting, steps in wanted:
            progress.update(bar, description=f"{order.network}: {setting}, {steps} steps")
            row = runs.row(setting, steps)
            if order.twins:
                row = row | {"twin_float_db": None if setting == DENSE else runs.twin(setting, steps)}
            if setting == DENSE and steps < max(order.steps):
                row = row | {"fewer": runs.fewer(steps)}
            rows.append(row)
            progress.advance(bar)
    return runs, rows


def number(value: float | None, places: int = 1, none: str = "equal") -> str:
    """A figure of a row; None has no number."""
    return none if value is None else f"{value:.{places}f}"


def headings(row: dict[str, Any]) -> tuple[str, ...]:
    """Names of what `cells` gives of such a row."""
    twin = ("PSNR twin",) if "twin_float_db" in row else ()
    return ("PSNR int8", "PSNR float", *twin, "SSIM", "Frechet", "MACs", "digits", "bytes", *row.get("judged", ()))


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Figures of a row as text: PSNR in dB, what is left in % of dense."""
    twin = (number(row["twin_float_db"]),) if "twin_float_db" in row else ()
    shares = (f"{100 * row[name]:.1f}" for name in ("work_left", "digits_left", "bytes_left"))
    judged = (f"{value:.3f}" for value in row.get("judged", {}).values())
    return (number(row["psnr_db"]), number(row["psnr_float_db"]), *twin, number(row["ssim"], 3),
            number(row["frechet"], 2, "-"), *shares, *judged)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The rows as they are shown on the terminal."""
    first = rows[0]
    shown = Table(title=f"{first['network']}, mean of {first['videos']} videos; PSNR in dB, work left in % of dense "
                  "(bytes modelled)", title_justify="left")
    shown.add_column("setting", no_wrap=True, min_width=max(len(row["setting"]) for row in rows))
    for name in ("steps", *headings(first)):
        shown.add_column(name.replace(" ", "\n"), justify="right")
    for row in rows:
        shown.add_row(row["setting"], str(row["steps"]), *cells(row))
    return shown
