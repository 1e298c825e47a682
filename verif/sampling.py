# SPDX-License-Identifier: Apache-2.0
"""A whole sampling run on the machine's Verilog, each step held against the law."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from host.driver import Outcome, Sampler
from host.listing import work
from host.lower import lower
from host.program import Lowered
from hw.config import Lane, MachineConfig
from hw.errors import VidaError
from model.exact.step import denoise
from model.methods import method as law_of
from model.quantise import load_quantised
from verif.machine import Bus, SimulatedMachine, Span, read_trace

#: Planes of a native product in digits: an int8 value is two of them.
PLANES = {Lane.DIGIT: 2, Lane.NATIVE: 1}


@dataclass(frozen=True)
class Step:
    """One denoising step: its video equals the law's, counters by name, among them `cycles` from start to END."""

    exact: bool
    counters: dict[str, int]

    @property
    def cycles(self) -> int:
        """From start to END."""
        return self.counters["cycles"]


@dataclass
class Run:
    """A sampling run.

    Members
    -------
    lowered : program, image and predictions
    steps : of the run, in order
    video : (F, H, W), the machine's
    spans : what each unit did in the last step
    busy : operator -> unit -> cycles of all programs in which the oldest instruction of the unit was the operator's
    simulated, cpu_seconds : cycles of all programs, and CPU time of the simulator
    """

    lowered: Lowered
    steps: list[Step] = field(default_factory=list)
    video: Tensor | None = None
    spans: list[Span] = field(default_factory=list)
    busy: dict[str, dict[str, int]] = field(default_factory=dict)
    simulated: int = 0
    cpu_seconds: float = 0.0

    @property
    def cycles(self) -> int:
        """Of all steps."""
        return sum(step.cycles for step in self.steps)

    @property
    def exact(self) -> int:
        """Steps whose video is the law's."""
        return sum(step.exact for step in self.steps)

    def total(self) -> Counter[str]:
        """Counters over all steps."""
        counters: Counter[str] = Counter()
        for step in self.steps:
            counters.update(step.counters)
        return counters

    def products(self) -> int:
        """Left times right values of a step's matmuls, zeros included, padding not."""
        return sum(entry.products for entry in work(self.lowered.step, self.lowered.operators,
                                                    self.lowered.config).values())

    def utilisation(self) -> float:
        """Products in range, in the lanes' unit, over DPU multipliers times cycles, over all steps."""
        config = self.lowered.config
        each = PLANES[config.lane] * self.products()
        return len(self.steps) * each / (config.pegs * config.multipliers * self.cycles)


def sample(network: str, config: MachineConfig, method: str, steps: int, count: int | None = None, label: int = 0,
           bus: Bus | None = None, progress: Callable[[int, Step], None] | None = None,
           waves: Path | None = None, short: bool = False) -> Run:
    """Run `count` (default: all) of `steps` denoising steps of a trained network by `method` on the Verilog.

    label : class, and which of the network's starting noises
    progress : called after each step
    waves : VCD of every signal, for short runs
    short : as in `SimulatedMachine`
    Raises VidaError where the network, the method or the number of steps cannot be had, or a program stops.
    """
    trained = load_quantised(network)[0]
    if steps not in trained.modulation:
        raise VidaError(f"{steps} steps: {', '.join(map(str, sorted(trained.modulation)))} can be sampled")
    if count is not None and not 1 <= count <= steps:
        raise VidaError(f"{count} of {steps} steps: 1..{steps} can be run")
    if not 0 <= label < len(trained.noise):
        raise VidaError(f"class {label}: 0..{len(trained.noise) - 1} can be sampled")
    lowered = lower(trained, config, method, bus and bus.bandwidth)
    run, law, ended = Run(lowered), law_of(method), list[Outcome]()
    with tempfile.TemporaryDirectory(prefix="vida-run-") as folder:
        trace = Path(folder) / "trace"
        with SimulatedMachine(config, lowered.image.size, bus, trace=trace, waves=waves, short=short) as machine:
            sampler = Sampler(lowered, machine, ended.append)
            video = trained.noise[label]
            for number in range(steps if count is None else count):
                before, video = video, sampler.step(video, label, number, steps)
                want = denoise(trained, before, label, number, steps, law)
                run.steps.append(Step(torch.equal(video, want), dict(ended[-1].counters)))
                if progress:
                    progress(number, run.steps[-1])
            run.simulated, run.cpu_seconds = sum(end.counters["cycles"] for end in ended), machine.cpu_seconds
        last = run.steps[-1].cycles
        spans = read_trace(trace, config)
        run.busy = busy_cycles(spans, lowered.operators)
        end = max((span.end for span in spans), default=0)
        run.spans = [span for span in spans if span.start >= end - last]
    run.video = video
    return run


def operator_cycles(run: Run) -> dict[str, dict[str, int]]:
    """operator -> unit -> cycles of the last step in which the oldest instruction of the unit was the operator's."""
    return busy_cycles(run.spans, run.lowered.operators)


def busy_cycles(spans: Iterable[Span], operators: Sequence[str]) -> dict[str, dict[str, int]]:
    """operator -> unit -> cycles of `spans`."""
    found: dict[str, dict[str, int]] = {}
    for span in spans:
        units = found.setdefault(operators[span.tag], {})
        units[span.unit] = units.get(span.unit, 0) + span.end - span.start
    return found
