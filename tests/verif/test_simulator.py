# SPDX-License-Identifier: Apache-2.0
"""One small build: about ten seconds the first time, nothing later."""

import sys
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.errors import VidaError
from hw.verilog import to_verilog
from verif.coverage import line_coverage
from verif.simulator import build, run_bench


class Counter(Component):
    def __init__(self):
        super().__init__({"on": In(1), "count": Out(8)})

    def elaborate(self, platform):
        m = Module()
        with m.If(self.on):
            m.d.sync += self.count.eq(self.count + 1)
        return m


@pytest.fixture(scope="module")
def simulator():
    return build(to_verilog(Counter())[0], "counter", coverage=True)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])
    return "bench_counter"


def test_kept_simulator_is_not_built_again(simulator):
    again = build(to_verilog(Counter())[0], "counter", coverage=True)
    assert again.executable == simulator.executable and again.seconds == 0


def test_a_bench_passes_from_a_folder_with_packages_of_its_own(simulator, bench, tmp_path, monkeypatch):
    for name in ("hw", "verif"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    result = run_bench(simulator, bench, workdir=tmp_path / "run", parameters={"want": 20})
    assert [case.name for case in result.check().cases] == ["counts", "waits_for_ever"]
    (lines,) = line_coverage([result.coverage])
    assert lines.module == "counter" and 0 < lines.hit <= lines.total


def test_a_failing_bench_fails_and_keeps_waves(simulator, bench, tmp_path):
    result = run_bench(simulator, bench, workdir=tmp_path, parameters={"want": 21}, cases=["counts"])
    assert not result.passed and result.waves.stat().st_size > 0
    with pytest.raises(AssertionError, match=r"counts: counted something else .*sim.log.*dump.vcd"):
        result.check()


def test_a_bench_that_hangs_is_stopped(simulator, bench, tmp_path):
    with pytest.raises(VidaError, match="bench bench_counter on counter: stopped after 5 s"):
        run_bench(simulator, bench, workdir=tmp_path, parameters={"hang": 1, "want": 20}, timeout_s=5)


def test_a_bench_that_is_not_there(simulator, tmp_path):
    with pytest.raises(VidaError, match="ended without results"):
        run_bench(simulator, "bench_of_nothing", workdir=tmp_path, waves_on_failure=False)


def test_a_fault_in_the_verilog_is_told():
    with pytest.raises(VidaError, match=r"building the simulator of broken: verilator failed: .*broken\.v:1"):
        build("module broken(input clk) oops endmodule\n", "broken")


def test_coverage_refuses_another_file(tmp_path):
    (tmp_path / "coverage.dat").write_text("hello")
    with pytest.raises(VidaError, match=r"coverage\.dat is no coverage\.dat of Verilator"):
        line_coverage([tmp_path / "coverage.dat"])
