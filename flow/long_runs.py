# SPDX-License-Identifier: Apache-2.0
"""Sampling runs of whole machines for `vida regress`: shapes and networks that the main job has no time for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from flow.explore.kept import digest_of, kept_path, read_kept, sources_digest, write_kept
from host.foresee import Foresight
from hw.config import MachineConfig, load_config
from model.sample import STEPS
from verif.sampling import Run, sample

_SOURCES = sources_digest("hw/**/*.py", "host/*.py", "model/*.py", "model/exact/**/*.py", "model/weights/*.*",
                          "verif/*.py", "verif/*.cpp", "flow/long_runs.py")
#: Of each product, every how many panels the prediction walks.
EVERY = 2


@dataclass(frozen=True)
class LongRun:
    """`steps` of a run of `STEPS` denoising steps of a network by a method on a machine."""

    config: MachineConfig
    network: str
    method: str
    steps: int

    def digest(self) -> str:
        """Of all that the outcome comes from."""
        return digest_of(_SOURCES, self.config.digest(), self.network, self.method, self.steps)


@dataclass(frozen=True)
class Outcome:
    """What came of a run: all measured on the Verilog.

    Members
    -------
    exact, steps : steps whose video is the law's, of so many
    cycles : of all steps, from start to END
    utilisation : see `verif.sampling.Run.utilisation`
    rate : simulated cycles a CPU second
    error : of the cycle model, over the first, the middle and the last step: predicted / counted - 1
    """

    exact: int
    steps: int
    cycles: int
    utilisation: float
    rate: float
    error: float

    @property
    def passed(self) -> bool:
        """Every step is the law's."""
        return 0 < self.steps == self.exact


def plan() -> list[LongRun]:
    """Network tiny whole at every depth; of network small, both block pairs with all around them, on preset default.

    A step of `ditto` after the first one is of differences.
    """
    tiny, default = load_config("tiny"), load_config("default")
    depths = [tiny, *(tiny.replace(name=f"tiny_depth{depth}", depth=depth, scan=2 * depth, slots=2 * depth)
                      for depth in (2, 4))]
    runs = [LongRun(config, "tiny", method, STEPS) for config in depths for method in ("dense", "ditto", "vida")]
    return runs + [LongRun(default, "small", method, steps)
                   for method, steps in (("dense", 1), ("ditto", 2), ("vida", 1))]


def run_long(runs: Sequence[LongRun], console: Console) -> bool:
    """Simulate what is not kept from before of the same sources, print a line for each; whether all equal the law."""
    table, good = Table("machine", "network", "method", "steps equal to the law", "cycles", "utilisation",
                        "predicted, %", "cycles a CPU second", box=None, pad_edge=False), True
    for run in runs:
        with console.status(f"{run.network} by {run.method} on {run.config.name}") as status:
            outcome = outcome_of(run, status.update)
        good = good and outcome.passed
        table.add_row(run.config.name, run.network, run.method, f"{outcome.exact} of {outcome.steps}",
                      f"{outcome.cycles:,}", f"{outcome.utilisation:.3f}" if run.method == "dense" else "",
                      f"{100 * outcome.error:+.2f}", f"{outcome.rate:,.0f}")
    console.print(table)
    return good


def outcome_of(run: LongRun, tell: Callable[[str], None] = lambda text: None) -> Outcome:
    """Simulated, or as it was kept."""
    path = kept_path("long-runs", run.digest())
    found = read_kept(path)
    if found is None:
        what = f"{run.network} by {run.method} on {run.config.name}"
        made = sample(run.network, run.config, run.method, STEPS, run.steps,
                      progress=lambda number, _: tell(f"{what}: step {number + 1} of {run.steps}"))
        found = asdict(_outcome(made))
        write_kept(path, found)
    return Outcome(**found)


def _outcome(made: Run) -> Outcome:
    return Outcome(made.exact, len(made.steps), made.cycles, made.utilisation(), made.simulated / made.cpu_seconds,
                   error_of(made))


def error_of(made: Run) -> float:
    """How far the cycle model is off, over a few steps, on a memory that gives what the bus carries."""
    wanted = sorted({0, len(made.steps) // 2, len(made.steps) - 1})
    foresight = Foresight(made.lowered, STEPS, wanted, every=EVERY)
    return sum(foresight.step(step).cycles for step in wanted) / sum(made.steps[step].cycles for step in wanted) - 1
