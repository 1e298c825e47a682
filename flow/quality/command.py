# SPDX-License-Identifier: Apache-2.0
"""What `vida quality` writes: the table on the terminal and as Markdown, and pictures in build/quality."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from flow.quality import pictures as drawn
from flow.quality.judges import Judges
from flow.quality.runs import Order, Runs, cells, headings, measure, number, table
from hw.errors import VidaError
from hw.workspace import check_writable
from model import frechet
from model.approximate.measure import COUNTED
from model.evaluate import LEAST

#: Settings whose operands are shown by class, where they are measured: nothing is left out by them.
_CLASSES = ("original", "ditto", "vida.two-products", "vida.timesteps.snap-1")


def run(orders: Sequence[Order], judges: Judges, markdown: Path | None, console: Console) -> None:
    """Measure every order, print its table, draw its pictures; `markdown` gets all tables in one page.

    Raises VidaError for a network without weights and for a page that cannot be written before anything runs.
    """
    if markdown is not None and markdown.is_dir():
        raise VidaError(f"cannot write {markdown}: is a folder")
    if markdown is not None:
        check_writable(markdown.parent)
    for order in orders:
        Runs(order)
    pages = []
    for order in orders:
        runs, rows = measure(order, console)
        rows = [row | {"judged": judges.judge(runs, row)} for row in rows]
        console.print(table(rows))
        for path in pictures(order, runs, rows):
            console.print(str(path), soft_wrap=True)
        pages.append(page(order, rows))
    if markdown is not None:
        try:
            markdown.parent.mkdir(parents=True, exist_ok=True)
            markdown.write_text("\n\n".join([_head(orders, markdown), *pages]) + "\n", encoding="utf-8")
        except OSError as error:
            raise VidaError(f"cannot write {markdown}: {error.strerror}") from error


def pictures(order: Order, runs: Runs, rows: Sequence[dict[str, Any]]) -> list[Path]:
    """Write the plots of every number of steps, and strips and zeros of the most; returns their paths."""
    most, written = max(order.steps), []
    for steps in order.steps:
        for key in drawn.WORK:
            path = runs.folder / f"{order.network}-{steps}-{key}.svg"
            path.write_text(drawn.against_work(rows, steps, key), encoding="utf-8")
            written.append(path)
    here = [row for row in rows if row["steps"] == most]
    frames = {row["setting"]: runs.pixels(runs.videos(row["setting"], most)[:1])[0].numpy() for row in here}
    for name, content in (("strips", drawn.strips(frames)), ("zeros", drawn.zeros(here))):
        path = runs.folder / f"{order.network}-{most}-{name}.png"
        path.write_bytes(content)
        written.append(path)
    return written


def page(order: Order, rows: Sequence[dict[str, Any]]) -> str:
    """The rows of one network as Markdown, a table for each number of steps."""
    parts = [f"## Network {order.network}", _floor(order)]
    names = ("setting", *headings(rows[0]))
    for steps in order.steps:
        parts.append(f"### {steps} steps")
        here = [row for row in rows if row["steps"] == steps]
        lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
        lines += ["| " + " | ".join((row["setting"], *cells(row))) + " |" for row in here]
        for row in (row for row in here if "fewer" in row):
            share, found = 100 * steps / max(order.steps), row["fewer"]
            rival = (f"*dense against {max(order.steps)} steps*", number(found["psnr_db"]),
                     number(found["psnr_float_db"]), *("" for _ in range(order.twins)), number(found["ssim"], 3),
                     number(found["frechet"], 2, "-"), *[f"{share:.1f}"] * 3, *[""] * len(row["judged"]))
            lines.append("| " + " | ".join(rival) + " |")
        parts.append("\n".join(lines))
        shown = [f"{row['setting']} " + " / ".join(f"{100 * share:.1f}" for share in row["classes"])
                 for row in here if row["setting"] in _CLASSES]
        if shown:
            parts.append(f"Operands without a digit, of one, of two, in %, by multiplications: {', '.join(shown)}.")
    return "\n\n".join(parts)


def _head(orders: Sequence[Order], markdown: Path) -> str:
    networks = " ".join(f"--network {order.network}" for order in orders)
    first = orders[0]
    chosen = textwrap.fill(" ".join(f"--setting={name}" for name in first.settings), 110, break_on_hyphens=False,
                           break_long_words=False).replace("\n", " \\\n        ")
    steps = " ".join(f"--steps {count}" for count in first.steps)
    names = ", ".join(order.network for order in orders)
    asked = " --twins" if first.twins else ""
    twins = " PSNR twin: its float twin against float." if first.twins else ""
    return f"""# Methods on {names}

Written by

    vida quality {networks} {steps} --videos {first.videos}{asked} \\
        {chosen} \\
        --markdown {markdown}

PSNR in dB and SSIM against int8 dense of the same starting noise and as many steps; PSNR also against float of the
same.{twins}
MACs, digits and bytes left in % of int8 dense of as many steps (a digit product is 4 x 8 bits, int8 has two an operand;
bytes are modelled): [docs/measuring.md](../measuring.md). Mean of {first.videos} videos; work counted on {COUNTED}
of them. *Dense against* is the rival: int8 dense of so few steps against its full run.
What the figures say: [figures.md](figures.md)."""


def _floor(order: Order) -> str:
    if order.videos < LEAST:
        return f"Frechet distances need {LEAST} videos."
    mean, spread = frechet.floor(order.network, order.videos)
    return (f"Frechet distance to {frechet.REFERENCE} videos of the training source; {order.videos} videos of the "
            f"source itself have {mean:.2f} +- {spread:.2f} (8 draws).")


def orders(networks: Sequence[str], settings: Sequence[str], steps: Sequence[int], videos: int,
           twins: bool = False) -> list[Order]:
    """An order for each network, all checked before anything runs."""
    counts = tuple(sorted(set(steps), reverse=True))
    return [Order(network, tuple(settings), counts, videos, twins) for network in networks]
