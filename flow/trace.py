# SPDX-License-Identifier: Apache-2.0
"""`vida trace`: sample a user's model and write operands, statistics, and what is not covered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hw.errors import VidaError
from hw.workspace import check_writable
from model import vectors
from model.approximate.config import Config, DittoConfig, ViDAConfig
from model.attach import Attached, apply, calibrate
from model.attach.capture import Capture
from model.attach.statistics import REFERENCES, LayerStatistics, total
from model.attach.subjects import Size, Subject, load_subject

FORMAT = 1
#: Methods whose products are written, by the reference of their differences.
METHODS: dict[str, list[Config]] = {
    "none": [], "timestep": [DittoConfig()], "frame": [ViDAConfig()],
}


@dataclass(frozen=True)
class Order:
    """What is to be traced; `rows` and `columns` bound the window of a product that is written, 0 for all."""

    model: str
    weights: Path | None
    random: bool
    steps: int
    layers: tuple[str, ...]
    reference: str
    size: Size
    seed: int
    output: Path
    rows: int
    columns: int


def parse_size(frames: int | None, size: str | None) -> Size:
    """The size of `--frames` and `--size HxW`; raises `VidaError` for another form."""
    if size is None:
        return Size(frames)
    parts = size.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise VidaError(f"size '{size}': HEIGHTxWIDTH of a latent frame, as 32x32")
    return Size(frames, *(int(part) for part in parts))


def captured_steps(steps: int) -> list[int]:
    """Timesteps whose operands are written: an early, a middle and a late one."""
    return sorted({min(steps - 1, max(1, steps // 10)), steps // 2, steps - max(1, steps // 10)})


def trace(order: Order, console: Console) -> None:
    """Calibrate in float, run in integers, write `operands.*` and `statistics.json`, print a table.

    Raises `VidaError` before anything is written for what cannot be loaded, sampled or written.
    """
    if order.reference not in METHODS:
        raise VidaError(f"unknown reference '{order.reference}': choose one of {', '.join(METHODS)}")
    subject = load_subject(order.model, order.weights, order.random, order.size)
    check_writable(order.output)
    capture = Capture(subject.name, order.steps, captured_steps(order.steps), order.rows, order.columns)
    with _progress(console) as bar:
        done = _run(subject, order, capture, bar)
    _write(subject, order, capture, done)
    _show(done, console)
    console.print(f"{len(capture.entries)} products in {order.output / 'operands.safetensors'}, statistics in "
                  f"{order.output / 'statistics.json'}", soft_wrap=True, highlight=False)


def _progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                    console=console, transient=True)


def _run(subject: Subject, order: Order, capture: Capture, bar: Progress) -> Attached:
    """Both runs; the model is detached again, statistics stay."""
    def run(text: str) -> Callable[[], None]:
        def steps() -> None:
            for _ in bar.track(subject.sample(order.steps, order.seed), order.steps, description=text):
                pass
        return steps

    calibration = calibrate(subject.model, run("calibrate (float)"))
    configs = METHODS[order.reference]
    with apply(subject.model, configs, calibration, layers=order.layers, record=capture) as attached:
        run("trace (int8)")()
    return attached


def _write(subject: Subject, order: Order, capture: Capture, done: Attached) -> None:
    command = (f"vida trace --model {order.model} --steps {order.steps} --reference {order.reference} "
               f"--seed {order.seed}")
    vectors.write(order.output / "operands", list(capture.entries.values()), command)
    page = {
        "format": FORMAT, "command": command, "model": subject.name, "steps": order.steps, "seed": order.seed,
        "reference": order.reference, "all": total(done.statistics()).as_dict(),
        "layers": [layer.as_dict() for layer in done.statistics()],
        "uncovered": [{"layer": layer, "reason": reason} for layer, reason in done.uncovered],
    }
    path = order.output / "statistics.json"
    partial = path.with_suffix(".json.part")
    try:
        partial.write_text(json.dumps(page, indent=1) + "\n")
        os.replace(partial, path)
    except OSError as error:
        raise VidaError(f"cannot write {path}: {error}") from error


def _show(done: Attached, console: Console) -> None:
    """A line for every operator, then what is not covered, by reason."""
    layers = done.statistics()
    width = max(len(layer.key) for layer in layers)
    lines = ["measured: shares of operands in % that are 0 / fit 4 bits / need more, of the operand itself and of its "
             "difference to the previous timestep and frame",
             f"{'layer':<{width}}  {'operator':<8}  {'axis':<8}  {'MMAC':>9}" + "".join(
                 f"  {name:>18}" for name in ("itself", "timestep", "frame"))]
    for layer in [*layers, total(layers)]:
        cells = "".join(f"  {_shares(layer, reference):>18}" for reference in REFERENCES)
        lines.append(f"{layer.key:<{width}}  {layer.kind:<8}  {layer.axis:<8}  {layer.macs / 1e6:>9.2f}{cells}")
    reasons: dict[str, list[str]] = {}
    for layer, reason in done.uncovered:
        reasons.setdefault(reason, []).append(layer)
    lines += [f"not covered: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


def _shares(layer: LayerStatistics, reference: str) -> str:
    shares = layer.over_steps(reference).as_list()
    return "-" if shares is None else " / ".join(f"{100 * share:.1f}" for share in shares)
