# SPDX-License-Identifier: Apache-2.0
"""Pure parts of the measurements: the operator list, shares, mixes, speed-ups, the law's tiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw.config import load_config
from hw.errors import VidaError
from hw.payloads import Init
from model.networks import count_macs, preset
from verif.measure import Run, law_tiles, machines
from verif.operators import Operator, load_list, shares
from verif.speedup import Silicon, cycle_ratios, cycles_per_mac, digit_efficiency, equal_area, mix
from verif.stimulus import Product

NETWORK = preset("small")
LIST = load_list()
KINDS = ("qkv", "scores", "values", "out", "fc1", "fc2")


def run_of(operator: Operator, reference: str = "none", machine: str = "paper", cycles: int = 100,
           skip: bool = True) -> Run:
    return Run(operator, reference, machine, 2, skip, macs=1000, cycles=cycles, law_cycles=0, bound=0, useful=640,
               multipliers=10, compared=1, mismatches=0, counters={})


def test_shares_are_those_of_the_network() -> None:
    share, macs = shares(LIST, NETWORK), count_macs(NETWORK)
    assert sum(share.values()) == pytest.approx(1)
    total = sum(macs[kind] for kind in KINDS)
    for kind in KINDS:
        assert sum(value for operator, value in share.items() if operator.kind == kind) == pytest.approx(
            macs[kind] / total)


def test_the_list_has_every_kind_in_both_blocks() -> None:
    assert {(operator.kind, operator.block) for operator in LIST.operator} == {
        (kind, block) for kind in KINDS for block in ("spatial", "temporal")}
    assert NETWORK.blocks[LIST.operator[0].layer] == (LIST.operator[0].block,)


@pytest.mark.parametrize("text, message", [
    ("format = 2", "format"), ("format = ", "not valid TOML"), ("format = 1\nnetwork = 'small'\nspeed = 3", "steps")])
def test_a_wrong_list_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(VidaError, match=message) as caught:
        load_list(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(VidaError, match="cannot be read"):
        load_list(tmp_path / "none.toml")


def test_mix() -> None:
    linear, spatial, temporal = (Operator(kind=kind, layer=layer, emit=("int8",))
                                 for kind, layer in (("fc1", 0), ("scores", 0), ("values", 3)))
    assert mix("original", linear, 50, NETWORK, 2) == {"none": 1}
    assert mix("ditto", spatial, 50, NETWORK, 2) == pytest.approx({"none": 0.02, "timestep": 0.98})
    assert mix("vida", linear, 50, NETWORK, 2) == pytest.approx({"none": 1 / 8, "frame": 7 / 8})
    assert mix("vida", spatial, 50, NETWORK, 2) == pytest.approx({"none": 1 / 2, "frame": 1 / 2})
    assert mix("vida", spatial, 50, NETWORK, 3) == pytest.approx({"none": 3 / 8, "frame": 5 / 8})
    assert mix("vida", temporal, 50, NETWORK, 2) == {"none": 1}
    with pytest.raises(ValueError, match="unknown method 'exion'"):
        mix("exion", linear, 50, NETWORK, 2)


def test_cycles_per_mac_is_the_weighted_mean() -> None:
    first, second = LIST.operator[0], LIST.operator[4]
    share = {first: 0.25, second: 0.75}
    runs = [run_of(operator, reference, cycles=cycles) for operator in share
            for reference, cycles in (("none", 100), ("timestep", 50), ("frame", 80))]
    runs.append(run_of(first, machine="dense8.depth1", cycles=1))
    assert cycles_per_mac(runs, "paper", "original", LIST, NETWORK, share, 2) == pytest.approx(0.1)
    assert cycles_per_mac(runs, "paper", "ditto", LIST, NETWORK, share, 2) == pytest.approx(0.051)
    assert cycles_per_mac(runs, "paper", "vida", LIST, NETWORK, share, 2) == pytest.approx(0.0825)
    runs = [replace(run, skip=False) for run in runs]
    assert cycles_per_mac(runs, "paper", "original", LIST, NETWORK, share, 2, skip=False) == pytest.approx(0.1)


def test_digit_efficiency() -> None:
    operator = LIST.operator[0]
    runs = [run_of(operator), run_of(operator, "timestep", cycles=200), run_of(operator, skip=False)]
    assert digit_efficiency(runs, "paper") == pytest.approx(
        {"qkv.spatial.none": 0.64, "qkv.spatial.timestep": 0.32, "total": 1280 / 3000})


def rates() -> dict[tuple[str, str], float]:
    return {("paper", "vida"): 8.0, ("paper", "ditto"): 5.0, ("paper", "original"): 10.0, ("paper", "dense_mode"): 20.0,
            ("dense8.depth1", "original"): 8.0, ("dense8.depth4", "original"): 2.0}


def test_cycle_ratios() -> None:
    values = {figure.name: figure.value for figure in cycle_ratios(rates(), "")}
    assert values == pytest.approx({
        "speedup.vida.vs_original_skip": 1.25, "speedup.vida.vs_dense_mode": 2.5,
        "speedup.ditto.vs_original_skip": 2.0, "speedup.ditto.vs_dense_mode": 4.0})


def test_equal_area_takes_the_best_baseline_and_the_lower_claim() -> None:
    silicon = {"paper": Silicon(300, 200, 1000), "dense8.depth1": Silicon(250, 150, 1000),
               "dense8.depth4": Silicon(600, 500, 500)}
    values = {figure.name: figure.value for figure in equal_area(rates(), silicon, "")}
    # With the store 8 x 250 = 2000 against 2 x 600 / 0.5 = 2400; without it 1200 against 2000: depth 1 both times.
    name = "speedup.vida.vs_dense8_equal_area"
    assert values[f"{name}.with_store"] == pytest.approx(2000 / 2400)
    assert values[f"{name}.without_store"] == pytest.approx(1200 / 1600)
    assert values[name] == values[f"{name}.without_store"]


def test_law_tiles_follow_the_jobs() -> None:
    config = load_config("tiny")
    current = np.arange(7 * 5).reshape(7, 5)
    product = Product(current, np.zeros_like(current), np.ones((5, 20), int), np.ones(20), threshold=1)
    tiles = law_tiles([product], config)
    assert len(tiles) == 2 * 3 == product.tiles(config)
    assert {(tile.init, tile.threshold) for tile in tiles} == {(Init.BIAS, 1)}
    assert len(law_tiles([product], config, every=2)) == 3


def test_machines() -> None:
    known = machines()
    assert set(known) == {"paper", "paper.balance", "dense8.depth1", "dense8.depth2", "dense8.depth4"}
    assert known["dense8.depth4"].multipliers == 4 * known["dense8.depth1"].multipliers
