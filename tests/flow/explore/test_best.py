# SPDX-License-Identifier: Apache-2.0
"""Who wins per area, the tables that say so, the Parquet file and the plot."""

from __future__ import annotations

import io

import pytest
from pyarrow import parquet
from rich.console import Console

from flow.explore import table
from flow.explore.best import Setting, baseline, best, main_setting, settings
from flow.explore.evaluate import rows
from flow.explore.plots import front, pareto

MAIN = Setting(50, "timestep")


@pytest.fixture
def found(evaluated):
    """Two native machines, two with digits."""
    return [evaluated("dense8", "dense8", depth=depth, scan=depth, slots=depth) for depth in (1, 4)] + [
        evaluated("none", "paper", allocation="none", depth=depth, scan=8, slots=8, queue_depth=16) for depth in (1, 2)]


def test_throughput_for_area(found):
    machine = found[0]
    # 1.25 GHz x 512 MAC a cycle / 1500 um2, and / 2000 um2 with the store.
    assert machine.throughput(50, "timestep") == pytest.approx(1250 * 512 / 1500)
    assert machine.throughput(50, "timestep", store=True) == pytest.approx(1250 * 512 / 2000)


def test_every_variant_is_held_against_the_best_native_machine(found):
    machines = found
    assert settings(machines)[0] == main_setting(machines) == MAIN
    against = baseline(machines, MAIN)
    assert {machine.configured.label for machine in against.machines.values()} == {"depth=4"}
    chosen = best(machines, MAIN, against)
    assert {name: machine.configured.label for name, machine in chosen.items()} == {
        "dense8": "depth=4", "none": "depth=2"}
    # Cycles 2 x 2 / 4 = 1 of the baseline's; area 3000 / 2000, with the store 3500 / 2500.
    claims = against.claims(chosen["none"], MAIN)
    assert claims == pytest.approx({False: 1.5, True: 1.4})
    assert against.claim(chosen["none"], MAIN, "fc1") == pytest.approx(1.4)
    assert against.claim(chosen["dense8"], MAIN) == pytest.approx(1)


def test_without_a_baseline_throughput_decides(found):
    machines = found[2:]
    assert baseline(machines, MAIN) is None
    assert best(machines, MAIN, None)["none"].configured.label == "depth=2"


def test_tables(found):
    stream, machines = io.StringIO(), found
    against = baseline(machines, MAIN)
    Console(file=stream, width=160).print(table.machines_table(machines, "asap7", MAIN, against),
                                          table.claims_table(machines, "asap7", MAIN, against),
                                          table.machines_table(machines[2:], "asap7", MAIN, None))
    text = stream.getvalue()
    assert "1.40/1.50" in text and "none 8" in text and "TMAC/s/mm2" in text


def test_parquet_holds_every_figure(found, tmp_path):
    table.write_parquet(tmp_path / "points.parquet", found)
    kept = parquet.read_table(tmp_path / "points.parquet").to_pylist()
    assert kept == rows(found) and len(kept) == 4 * 2 * 2 * 7
    assert {"variant", "drain", "operator", "cycles_per_mac", "throughput_with_store", "path_ps"} <= set(kept[0])


def test_pareto_front_and_plot(found):
    assert front([(3, 3), (1, 1), (2, 0.5), (2, 2), (3, 4)]) == [(1, 1), (2, 2), (3, 4)]
    assert pareto(found, "asap7", MAIN).startswith(b"\x89PNG")
