# SPDX-License-Identifier: Apache-2.0
import pytest

from hw.errors import VidaError
from model.approximate.build import build
from model.approximate.config import AsymRnRConfig, CMCConfig, DiToConfig, DittoConfig
from model.approximate.measure import measure
from model.approximate.settings import DEFAULTS, SETTINGS, choose
from model.approximate.work import Work
from model.exact.step import denoise
from model.networks import count_macs, preset


def test_a_run_that_leaves_nothing_out():
    found = measure("tiny", (CMCConfig(threshold=0),), 8, 1)
    assert found["psnr_db"] is None and found["work_left"] == found["bytes_left"] == 1
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
    assert found["extra"]["match.element_operations"] == 4 * 16 * 16 * 32


def test_reduction_of_heads_is_counted():
    found = measure("tiny", (AsymRnRConfig(q_ratio=0.5, kv_ratio=0.5),), 8, 1)
    spatial, temporal = 16 * 16 * 4, 4 * 4 * 16
    expected = (spatial / 4 + temporal) / (spatial + temporal)
    assert found["work_left_by_kind"]["scores"] == pytest.approx(expected, abs=1e-4)
    assert found["work_left_by_kind"]["qkv"] == found["work_left_by_kind"]["out"] == 1


def test_work_is_counted_on_the_first_video_alone():
    one, two = (measure("tiny", (CMCConfig(threshold=6),), 8, videos) for videos in (1, 2))
    assert one["work_left"] == two["work_left"] and one["zeros"] == two["zeros"]
    assert one["frechet"] is None and one["psnr_db"] != two["psnr_db"]


def test_zeros_and_bytes_by_definition(network):
    jobs = []
    operators = build([DittoConfig()], network, 8, jobs.append)
    video = network.noise[0]
    for step in range(2):
        video = denoise(network, video, 0, step, 8, operators)
    work = operators.work
    job = next(job for job in jobs if job.step == 1 and job.site.kind == "fc1")
    zero = sum(int(x) == int(y) for x, y in zip(job.current.flatten(), job.reference.flatten())) / job.current.numel()
    assert work.zeros["0 spatial fc1"][1] == pytest.approx(zero)
    assert sum(work.classes) == pytest.approx(1) and work.classes[0] == 1 - work.busy.total() / work.asked.total()
    assert work.classes[1] + 2 * work.classes[2] == pytest.approx(work.digits.total() / work.asked.total())
    rows, dim = 64, 32
    whole = 2 * (rows * dim + dim * 4 * dim + rows * 4 * dim)         # two layers
    assert work.bytes_total["fc1"] == 2 * whole                        # two steps
    sums = 4 * rows * 4 * dim
    assert work.bytes["fc1"] == 2 * whole + 2 * sums + 2 * (rows * dim + 2 * sums)


def test_settings_are_chosen_by_method_and_pattern():
    assert choose([], []) == ["original", *DEFAULTS.values()]
    assert choose(["tome"], ["cmc.5*"]) == ["tome.30%", "tome.50%", "cmc.5", "cmc.5.same-place", "cmc.5.window-3x3",
                                            "cmc.5.segment-4"]
    assert all(name in SETTINGS and name.partition(".")[0] == method for method, name in DEFAULTS.items())
    with pytest.raises(VidaError, match="unknown method 'magic': choose from ditto, vida"):
        choose(["magic"], [])
    with pytest.raises(VidaError, match=r"no setting matches 'x\*': .vida quality --list. prints all"):
        choose([], ["x*"])


def test_every_setting_builds(network):
    for configs in SETTINGS.values():
        build([c.model_copy(update={"interval": 4}) if isinstance(c, DiToConfig) else c for c in configs], network)
