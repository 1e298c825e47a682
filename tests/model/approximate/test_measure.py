# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from hw.errors import VidaError
from model.approximate.build import build
from model.approximate.config import AsymRnRConfig, CMCConfig, DiToConfig
from model.approximate.measure import SETTINGS, main, measure
from model.approximate.work import Work
from model.exact.step import denoise
from model.networks import count_macs, preset


def test_a_run_that_leaves_nothing_out():
    found = measure("tiny", (CMCConfig(threshold=0),), 8, 1)
    assert found["psnr_db"] == float("inf") and found["work_left"] == 1
    assert set(found["work_left_by_kind"]) == set(count_macs(preset("tiny"))) - {"conditioning"}


def test_counted_multiplications_are_the_networks(network):
    operators = build([], network)
    denoise(network, network.noise[0], 0, 0, 50, operators)
    macs = count_macs(network.config)
    assert operators.work.total == {kind: count for kind, count in macs.items() if kind != "conditioning"}


def test_work_adds_up_over_videos():
    one, two = Work(), Work()
    one.total["fc1"], one.done["fc1"] = 10, 5
    two.total["fc1"], two.done["fc1"], two.extra["x"] = 30, 5, 2
    one.add(two)
    one.digits["fc1"] = 20
    assert one.digits_left == 0.25
    assert (one.left, one.left_of("fc1"), one.left_of("qkv"), one.extra["x"]) == (0.25, 0.25, 1.0, 2)
    assert Work().left == Work().digits_left == 1


def test_dito_finds_its_interval_once():
    found = measure("tiny", (DiToConfig(match_ratio=0),), 8, 2)
    # One unreduced step of 8, a half of the queries else: 1 - 7 / 8 / 2 over one of two blocks.
    assert found["work_left_by_kind"]["out"] == pytest.approx(1 - 7 / 32, abs=1e-4)
    assert found["extra"]["match.element_operations"] == 2 * 4 * 16 * 16 * 32


def test_reduction_of_heads_is_counted():
    found = measure("tiny", (AsymRnRConfig(q_ratio=0.5, kv_ratio=0.5),), 8, 1)
    spatial, temporal = 16 * 16 * 4, 4 * 4 * 16
    expected = (spatial / 4 + temporal) / (spatial + temporal)
    assert found["work_left_by_kind"]["scores"] == pytest.approx(expected, abs=1e-4)
    assert found["work_left_by_kind"]["qkv"] == found["work_left_by_kind"]["out"] == 1


def test_command_prints_a_line_a_setting(capsys):
    main("tiny", ["cmc.10", "tome"], 8, 1, rival=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [line["setting"] for line in lines]
    assert names == ["cmc.10", "tome.30%", "tome.50%", "dense, 20 steps", "dense, 8 steps"]
    assert all(line["work_left"] < 1 and line["psnr_db"] < 60 for line in lines[:3])


def test_command_prints_rows_of_a_table(capsys):
    main("tiny", ["tome.50"], 8, 1, table=True)
    (line,) = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    found = measure("tiny", SETTINGS["tome.50%"], 8, 1)
    assert cells[0] == "tome.50%" and cells[1] == f"{found['psnr_db']:.1f}"
    shares = found["work_left"], found["work_left_by_kind"]["qkv"]
    assert cells[3:5] == [f"{100 * share:.1f}" for share in shares]


def test_unknown_setting_is_refused():
    with pytest.raises(VidaError, match="no setting begins with magic: choose from original, ditto"):
        main("tiny", ["magic"], 8, 1)


def test_every_setting_builds(network):
    for configs in SETTINGS.values():
        build([c.model_copy(update={"interval": 4}) if isinstance(c, DiToConfig) else c for c in configs], network)
