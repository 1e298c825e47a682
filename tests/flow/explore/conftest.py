# SPDX-License-Identifier: Apache-2.0
"""Sweeps without synthesis and without captured operands: figures that follow from a machine's fields."""

from __future__ import annotations

import pytest

from flow.explore import sweep, tasks
from flow.explore.evaluate import ALL, KINDS, Evaluated, Rate, Silicon
from flow.explore.space import Configured
from hw.config import Lane, MachineConfig, load_config


def made_up_rates(config: MachineConfig, steps: int = 50, reference: str = "timestep", sample: int = 4) -> list[Rate]:
    """Twice the depth halves the cycles; digits take half of what a native machine takes."""
    cycles = (1 if config.lane is Lane.NATIVE else 0.5) / (512 * config.depth)
    return [Rate(kind, cycles, 0.4) for kind in (*KINDS, ALL)]


def made_up_silicon(config: MachineConfig, synthesiser: object = None) -> Silicon:
    return Silicon(1000.0 + 500 * config.depth, 500.0, 800.0)


def _evaluated(variant: str, preset: str, library: str = "asap7", **fields: object) -> Evaluated:
    config = load_config(preset).replace(name=variant, **fields)
    rates = {(steps, reference, rate.operator): rate
             for steps in (50, 8) for reference in ("timestep", "none") for rate in made_up_rates(config)}
    return Evaluated(Configured(variant, f"depth={config.depth}", config), library, made_up_silicon(config), rates)


@pytest.fixture
def evaluated():
    """Makes a machine with its made-up figures: (variant, preset, library, **fields)."""
    return _evaluated


@pytest.fixture
def stubbed(tmp_path, monkeypatch):
    """Results go to `tmp_path`; the list that is returned tells which tasks have run."""
    ran: list[str] = []

    def rates(config, *rest):
        ran.append("cycles")
        if config.depth == 4 and config.lane is Lane.DIGIT:
            raise ValueError("stands still")
        return made_up_rates(config, *rest)

    def silicon(config, synthesiser):
        ran.append("area")
        return made_up_silicon(config)

    monkeypatch.setenv("VIDA_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(tasks, "rates", rates)
    monkeypatch.setattr(tasks, "silicon", silicon)
    monkeypatch.setattr(sweep, "operands", lambda chosen: None)
    return ran
