# SPDX-License-Identifier: Apache-2.0
"""What the benches of configurable blocks share: the build, the configuration inside the simulator, the comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component

from hw.config import MachineConfig, make_config
from hw.verilog import snake, to_verilog
from verif.checks import Checker
from verif.digits import value_of
from verif.drivers import Sink, Source, stream_of
from verif.simulator import BenchResult, bench_parameters, build, run_bench


def run_block(block: Callable[[MachineConfig], Component], module: str, workdir: Path, config: MachineConfig, *,
              seed: int = 1, coverage: bool = False, **parameters: Any) -> BenchResult:
    """Build `block` of `config` and run all tests of the bench `module` on it."""
    component = block(config)
    top = snake(type(component).__name__)
    simulator = build(to_verilog(component, top)[0], top, coverage=coverage)
    given = {"config": config.model_dump(mode="json"), **parameters}
    return run_bench(simulator, module, workdir=workdir, parameters=given, seed=seed)


def configuration() -> MachineConfig:
    """Inside a bench: of the device under test."""
    return make_config(bench_parameters()["config"], "bench")


def drive_factor(dut: Any, stem: str, factor: list[dict[str, int]]) -> None:
    """Set the ports of a left factor in radix 4; `stem` is their name up to the number of the digit."""
    for n, digit in enumerate(factor):
        for part, bit in digit.items():
            getattr(dut, f"{stem}{n}_{part}").value = bit


def read_factor(dut: Any, stem: str, digits: int) -> int:
    """Value of a left factor in radix 4 at its ports."""
    return value_of([{part: int(getattr(dut, f"{stem}{n}_{part}").value) for part in ("negative", "one", "two")}
                     for n in range(digits)])


def ports_of(component: Component) -> Component:
    """`component`, of which only the ports will be asked for: Amaranth shall not warn that it is not elaborated."""
    component._MustUse__silence = True
    return component


def sources(dut: Any, component: Component, names: Iterable[str], pauses: Mapping[str, float],
            group: Any = None) -> dict[str, Source]:
    """A source for each named stream of `component`, or of its interface `group`."""
    return {name: Source(dut, *stream_of(component, getattr(group or component, name)), pauses.get(name, 0.0))
            for name in names}


def sinks(dut: Any, component: Component, names: Iterable[str], pauses: Mapping[str, float],
          group: Any = None) -> dict[str, Sink]:
    """A sink for each named stream of `component`, or of its interface `group`."""
    return {name: Sink(dut, *stream_of(component, getattr(group or component, name)), pauses.get(name, 0.0))
            for name in names}


async def compare_rows(checker: Checker, sink: Sink, want: list[dict[str, Any]], bits: int) -> None:
    """Receive as many rows as the law gives and compare every field."""
    for i, expected in enumerate(want):
        (got,) = await sink.receive(1)
        for field, value in expected.items():
            checker.check(f"{sink.name} tile {i // 4} row {i % 4} {field}", got[field], value,
                          bits if field == "value" else 32)
