# SPDX-License-Identifier: Apache-2.0
"""Whole sampling runs of network tiny on the machine's Verilog: the step that shows that it all works together."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from flow.results import Check, StepResult, results_folder
from flow.whole_run import contact, trace_events
from host.foresee import Foreseen, Foresight
from hw.config import load_config
from model.evaluate import float_videos
from model.metrics import psnr
from model.sample import STEPS, to_float
from verif.sampling import Run, operator_cycles, sample

#: Methods that are run; the exact ones must give one video.
METHODS = {"dense": "whole operands, zeros issued", "ditto": "timestep differences, exact",
           "vida": "frame differences, attention approximated"}
#: Steps of each run that the cycle model predicts; those between are interpolated. Dense steps are all alike.
FORESEEN = {"dense": (0,), "ditto": (0, 1, 10, 20, 30, 40, STEPS - 1), "vida": (0, STEPS // 2, STEPS - 1)}
#: Share of a run's cycles from which on the model is held to an operator's.
SHARE = 0.01
#: Network and preset.
NETWORK = PRESET = "tiny"


def run(pdk: Path | None, progress: Callable[[str], None]) -> StepResult:
    """Run; writes machine.npz (contact sheets) and timeline_<method>.json (Chrome's format). Needs no `pdk`."""
    torch.set_num_threads(1)
    step, runs = StepResult(), {}
    for name in METHODS:
        runs[name] = sample(NETWORK, load_config(PRESET), name, STEPS, progress=_teller(progress, name))
    _exactness(step, runs)
    _figures(step, runs)
    foreseen = {name: _foresee(made, name, progress) for name, made in runs.items()}
    compared = {name: compare(made, foreseen[name]) for name, made in runs.items()}
    _model(step, runs, foreseen, compared)
    lines = [_line(name, made, runs["dense"], foreseen[name]) for name, made in runs.items()]
    step.data = {"steps": STEPS, "lines": lines,
                 "model": compared,
                 "foreseen": {name: len(numbers) for name, numbers in FORESEEN.items()},
                 "timelines": {name: _spans(made) for name, made in runs.items()},
                 "operators": {name: operator_cycles(made) for name, made in runs.items()}}
    sheets = {"float": contact(float_videos(NETWORK, STEPS, 1)[0])}
    sheets |= {name: contact(to_float(made.video)) for name, made in runs.items()}
    np.savez_compressed(results_folder() / "machine.npz", **sheets)
    for name, made in runs.items():
        text = json.dumps(trace_events(made.spans, made.lowered.operators))
        (results_folder() / f"timeline_{name}.json").write_text(text)
    return step


def _teller(progress: Callable[[str], None], name: str) -> Callable:
    return lambda number, made: progress(f"{name}: step {number + 1} of {STEPS}, {made.cycles:,} cycles")


def _exactness(step: StepResult, runs: dict[str, Run]) -> None:
    exact, all_steps = sum(made.exact for made in runs.values()), sum(len(made.steps) for made in runs.values())
    step.add("machine.steps_exact", exact, "steps", "measured",
             f"steps of {NETWORK} on preset {PRESET}'s Verilog that equal the law bit for bit, of {all_steps}")
    step.checks.append(Check("machine.every_step", exact == all_steps, f"{exact} of {all_steps} steps equal the law"))
    same = torch.equal(runs["ditto"].video, runs["dense"].video)
    step.checks.append(Check("machine.ditto_is_dense", same,
                             "the video by timestep differences is the dense one's, bit for bit"))


def _figures(step: StepResult, runs: dict[str, Run]) -> None:
    setting = f"network {NETWORK}, preset {PRESET}, {STEPS} steps"
    dense = runs["dense"]
    step.add("machine.utilisation.dense", dense.utilisation(), "1", "measured",
             f"{setting}: products in range x 2 planes / (DPU multipliers x cycles from start to END)")
    step.add("machine.psnr.vida_db", psnr(to_float(runs["vida"].video), to_float(dense.video)), "dB", "measured",
             f"{setting}: the machine's video by vida against its dense one")
    step.add("machine.sim_cycles_per_second", sum(made.simulated for made in runs.values())
             / sum(made.cpu_seconds for made in runs.values()), "1/s", "measured",
             f"{setting}: a CPU second of the simulator")
    for name, made in runs.items():
        step.add(f"machine.cycles.{name}", made.cycles, "cycles", "measured", setting)


def _foresee(made: Run, name: str, progress: Callable[[str], None]) -> Foreseen:
    progress(f"{name}: predicting")
    return Foresight(made.lowered, len(made.steps), FORESEEN[name]).run()


def _model(step: StepResult, runs: dict[str, Run], foreseen: dict[str, Foreseen],
           compared: dict[str, list[dict]]) -> None:
    """How far the cycle model is from the counters, at worst; `compared` by operator, see `compare`."""
    errors = {name: foreseen[name].cycles / made.cycles - 1 for name, made in runs.items()}
    operators = [(line["error"], name, line["operator"]) for name, lines in compared.items()
                 for line in lines if line["judged"]]
    name = max(errors, key=lambda one: abs(errors[one]))
    error, method, operator = max(operators, key=lambda one: abs(one[0]))
    sampled = ", ".join(f"{one} {len(numbers)}" for one, numbers in FORESEEN.items())
    setting = f"network {NETWORK}, preset {PRESET}, {STEPS} steps, of which predicted ({sampled}), others interpolated"
    step.add("machine.model_error", abs(errors[name]), "1", "measured",
             f"{setting}: the cycle model on the operands of the law against the counters, worst method ({name})")
    step.add("machine.model_error.operator", abs(error), "1", "measured",
             f"{setting}: busy cycles of groups and vector unit by operator, worst one of at least {SHARE:.0%} of its "
             f"run's cycles ({operator} of {method})")


def compare(made: Run, foreseen: Foreseen) -> list[dict]:
    """Busy cycles of every operator and unit over a whole run, measured and predicted, most first.

    Judged are operators that a group or the vector unit computes, of at least `SHARE` of the run's cycles; LOADs and
    STOREs are busy as long as the memory keeps them.
    """
    lines = []
    for operator, units in made.busy.items():
        for unit, measured in units.items():
            predicted = foreseen.operators.get(operator, {}).get(unit)
            if predicted is None:
                continue
            lines.append({"operator": operator, "unit": unit, "measured": measured, "predicted": predicted,
                          "error": predicted / measured - 1,
                          "judged": unit not in ("load", "store") and measured >= SHARE * made.cycles})
    return sorted(lines, key=lambda line: -line["measured"])


def _line(name: str, made: Run, dense: Run, foreseen: Foreseen) -> dict:
    total, config = made.total(), made.lowered.config
    close = psnr(to_float(made.video), to_float(dense.video))
    return {"method": name, "what": METHODS[name], "exact": made.exact, "steps": len(made.steps), "cycles": made.cycles,
            "against_dense": dense.cycles / made.cycles, "utilisation": made.utilisation(),
            "predicted": foreseen.cycles, "error": foreseen.cycles / made.cycles - 1,
            "bytes": (total["bus_read"] + total["bus_written"]) * config.bus_bytes,
            "digits": sum(total[f"peg{n}_digits"] for n in range(config.pegs)),
            "vector_share": total["vector_busy"] / made.cycles, "psnr": None if math.isinf(close) else close,
            "psnr_float": psnr(to_float(made.video), float_videos(NETWORK, STEPS, 1)[0])}


def _spans(made: Run) -> list:
    """[unit, operator, start, end] of the last step, from its first cycle on."""
    first = min((span.start for span in made.spans), default=0)
    return [[span.unit, made.lowered.operators[span.tag], span.start - first, span.end - first] for span in made.spans]
