# SPDX-License-Identifier: Apache-2.0
"""The main job: every step once, two side by side, then the report. A step whose inputs are unchanged is kept."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from flow import report
from flow.results import read_json, results_folder
from flow.steps import STEPS, inputs_digest
from hw.errors import VidaError
from hw.toolbox import run_tool

#: Runs one step. -P: the current folder is not searched for packages, so that its own `model/` is not taken for ours.
COMMAND = [sys.executable, "-P", "-m", "flow.steps"]


@dataclass(frozen=True)
class Outcome:
    """How a step ended: `error` is empty where it gave a result."""

    kept: bool
    seconds: float
    error: str = ""


def run(pdk: Path | None = None, jobs: int = 2, console: Console | None = None) -> Path:
    """Run what is not up to date, write the report, print its table; returns the path of the page.

    pdk : folder of Liberty files, None for gate equivalents only
    Raises VidaError where a step fails; the results of the others are kept for the next time.
    """
    console = console or Console()
    started = time.monotonic()
    outcomes = Runner(pdk, console).run(jobs)
    failed = {name: outcome.error for name, outcome in outcomes.items() if outcome.error}
    if failed:
        name, error = next(iter(failed.items()))
        raise VidaError(f"step {name}: {error}" + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""))
    page = report.write(console)
    console.print(f"{time.monotonic() - started:.0f} s in all")
    return page


class Runner:
    """Starts each step when the steps before it are through, at most `jobs` at once, and shows where they are."""

    def __init__(self, pdk: Path | None, console: Console) -> None:
        self._pdk, self._console = pdk, console
        self._folder = results_folder()
        self._outcomes: dict[str, Outcome] = {}

    def run(self, jobs: int) -> dict[str, Outcome]:
        """Outcome of every step, in the order of the table."""
        columns = (SpinnerColumn(finished_text="[green]*"), TextColumn("{task.fields[name]:<11}"), TimeElapsedColumn(),
                   TextColumn("{task.description}"))
        waiting, running = list(STEPS), dict[Future[Outcome], str]()
        with Progress(*columns, console=self._console) as shown, ThreadPoolExecutor(jobs) as pool:
            lines = {name: shown.add_task("waiting", name=name, start=False, total=1) for name in STEPS}
            while waiting or running:
                for name in [name for name in waiting if self._ready(name)][:jobs - len(running)]:
                    waiting.remove(name)
                    shown.start_task(lines[name])
                    shown.update(lines[name], description=STEPS[name].title)
                    say = _teller(shown, lines[name])
                    running[pool.submit(self._step, name, say)] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name = running.pop(future)
                    self._outcomes[name] = outcome = future.result()
                    shown.update(lines[name], completed=1, description=_told(name, outcome))
        return {name: self._outcomes[name] for name in STEPS}

    def _ready(self, name: str) -> bool:
        return all(before in self._outcomes for before in STEPS[name].after)

    def _step(self, name: str, say: Callable[[str], None]) -> Outcome:
        broken = [before for before in STEPS[name].after if self._outcomes[before].error]
        if broken:
            return Outcome(False, 0.0, f"needs {broken[0]}, which failed")
        if self._kept(name):
            return Outcome(True, 0.0)
        log = self._folder / f"{name}.log"
        log.write_text("")
        command = [*COMMAND, name, *([str(self._pdk)] if self._pdk else [])]
        started = time.monotonic()
        with _Tail(log, say):
            try:
                status = run_tool(command, cwd=Path.cwd(), log=log, timeout_s=STEPS[name].timeout_s, what=name,
                                  check=False)
            except VidaError as error:
                return Outcome(False, time.monotonic() - started, str(error))
        error = "" if status == 0 else f"{_last_line(log).removeprefix('error: ')} (log: {log})"
        return Outcome(False, time.monotonic() - started, error)

    def _kept(self, name: str) -> bool:
        """Whether the last result still stands: same inputs, and no step before it ran anew."""
        path = self._folder / f"{name}.json"
        if not path.exists() or any(not self._outcomes[before].kept for before in STEPS[name].after):
            return False
        try:
            return read_json(path).get("inputs") == inputs_digest(name, self._pdk)
        except VidaError:
            return False


class _Tail:
    """While open, passes the last line of a log on, twice a second."""

    def __init__(self, log: Path, say: Callable[[str], None]) -> None:
        self._log, self._say, self._over = log, say, threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(0.5):
            self._say(_last_line(self._log))


def _teller(shown: Progress, line: int) -> Callable[[str], None]:
    return lambda text: shown.update(line, description=text[:100]) if text else None


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _told(name: str, outcome: Outcome) -> str:
    if outcome.error:
        return f"[red]failed:[/] {outcome.error}"
    return "unchanged, kept" if outcome.kept else STEPS[name].title
