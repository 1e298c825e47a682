# SPDX-License-Identifier: Apache-2.0
"""What `vida simulate --model` does: a sampling run on the machine's Verilog, printed, with timeline and frames."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor

from flow.pictures import frames
from host.foresee import Foresight
from host.listing import instructions, work
from host.predict import Prediction
from hw.config import MachineConfig
from hw.errors import VidaError
from hw.workspace import build_folder, check_writable
from model.evaluate import float_videos
from model.gallery import contact_sheet
from model.metrics import psnr
from model.sample import to_float
from verif.machine import Bus, Span
from verif.sampling import Run, operator_cycles, sample


@dataclass(frozen=True)
class Order:
    """What is to be run: see the options of `vida simulate`."""

    config: MachineConfig
    network: str
    method: str
    steps: int
    count: int | None
    label: int
    bandwidth: float | None
    waves: Path | None


def simulate(order: Order, console: Console) -> bool:
    """Run, print, and keep timeline, listing and frames; returns whether every step equals the law."""
    config, method = order.config, order.method
    if order.waves is not None:
        if order.waves.is_dir() or not order.waves.parent.is_dir():
            raise VidaError(f"waves {order.waves}: a file to write in a folder that there is, is needed")
        check_writable(order.waves.parent)
    bars = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*bars, console=console) as shown:
        task = shown.add_task(f"{method} on {config.name}: building", total=order.count or order.steps)

        def tell(number: int, step) -> None:
            what = "equals the law" if step.exact else "[red]differs from the law[/]"
            shown.update(task, completed=number + 1,
                         description=f"{method} on {config.name}: step {number + 1} {what}, {step.cycles:,} cycles")

        run = sample(order.network, config, method, order.steps, order.count, order.label, Bus(order.bandwidth), tell,
                     order.waves)
    last = len(run.steps) - 1
    prediction = Foresight(run.lowered, order.steps, [last], order.label).step(last, order.bandwidth)
    folder = build_folder("runs", f"{config.name}-{order.network}-{method}-{order.steps}")
    keep(run, prediction, folder)
    console.print(operator_table(run, prediction))
    for line in lines(run, order, prediction):
        console.print(line, soft_wrap=True)
    console.print(f"timeline.json (Perfetto, chrome://tracing), listing.txt, frames.png in {folder}", soft_wrap=True)
    return run.exact == len(run.steps)


def lines(run: Run, order: Order, prediction: Prediction) -> list[str]:
    """The run in a few sentences; every figure is measured unless it says otherwise."""
    total, config = run.total(), run.lowered.config
    close = psnr(to_float(run.video), float_videos(order.network, order.steps, order.label + 1)[order.label])
    group = [f"peg{n}" for n in range(config.pegs)]
    waits = {what: sum(total[f"{peg}_wait_{what}"] for peg in group) for what in ("left", "job", "init", "result")}
    return [
        f"{run.exact} of {len(run.steps)} steps equal the law bit for bit"
        + (f"; PSNR of the video to float {close:.2f} dB" if len(run.steps) == order.steps else ""),
        f"{run.cycles:,} cycles; the last step {run.steps[-1].cycles:,}, {prediction.cycles:,} predicted from its "
        f"operands; utilisation {run.utilisation():.3f} (products in range, zeros included)",
        "array stalled, cycles of all groups: " + ", ".join(f"{what} {count:,}" for what, count in waits.items()),
        f"{total['bus_read'] * config.bus_bytes:,} bytes read, {total['bus_written'] * config.bus_bytes:,} written; "
        f"{sum(total[f'{peg}_digits'] for peg in group):,} digits issued",
        f"{run.simulated / run.cpu_seconds:,.0f} simulated cycles a CPU second"]


def operator_table(run: Run, prediction: Prediction) -> Table:
    """Cycles of each unit by operator, of the last step, measured and predicted."""
    found, done = operator_cycles(run), work(run.lowered.step, run.lowered.operators, run.lowered.config)
    foreseen = prediction.operators(run.lowered.step.instructions, run.lowered.operators)
    table = Table("operator", "unit", "instructions", "products", "cycles", "predicted", "share", "bytes", box=None,
                  pad_edge=False)
    for name, units in sorted(found.items(), key=lambda item: list(done).index(item[0]) if item[0] in done else -1):
        entry = done.get(name)
        for unit, cycles in units.items():
            predicted = foreseen.get(name, {}).get(unit, 0)
            table.add_row(name, unit, str(entry.instructions) if entry else "", f"{entry.products:,}" if entry else "",
                          f"{cycles:,}", f"{predicted:,}", f"{cycles / run.steps[-1].cycles:.1%}",
                          f"{entry.bytes:,}" if entry else "")
    return table


def trace_events(spans: list[Span], operators: tuple[str, ...]) -> dict:
    """Chrome's trace format: a thread a unit, a microsecond a cycle."""
    units = sorted({span.unit for span in spans})
    names = [{"ph": "M", "pid": 1, "tid": n, "name": "thread_name", "args": {"name": unit}}
             for n, unit in enumerate(units)]
    events = [{"ph": "X", "pid": 1, "tid": units.index(span.unit), "name": operators[span.tag], "ts": span.start,
               "dur": span.end - span.start} for span in spans]
    return {"displayTimeUnit": "ns", "traceEvents": names + events}


def keep(run: Run, prediction: Prediction, folder: Path) -> None:
    """Write timeline, listing and frames of a run."""
    (folder / "timeline.json").write_text(json.dumps(trace_events(run.spans, run.lowered.operators)))
    (folder / "listing.txt").write_text(instructions(run.lowered.step, run.lowered.operators,
                                                         prediction.slots))
    (folder / "frames.png").write_bytes(frames([("machine", contact(to_float(run.video)))], 6))


def contact(video: Tensor) -> np.ndarray:
    """The frames of one video (F, H, W) side by side."""
    return contact_sheet(video[None])
