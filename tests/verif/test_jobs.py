# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.config import Allocation, load_config
from hw.errors import VidaError
from model import vectors
from verif.golden import products
from verif.jobs import KINDS, Generator, arrays, blockwise_transpose, flat, left_beats, panel_of
from verif.outcome import Outcome, compare
from verif.regress import configurations
from verif.run import plan


def test_one_seed_gives_the_same_jobs_and_another_seed_others():
    config = load_config("tiny")
    one, same, other = (Generator(config, seed).make(3) for seed in ("a", "a", "b"))
    assert (one.job, one.left, one.result) == (same.job, same.left, same.result)
    assert one.job != other.job


@pytest.mark.parametrize("preset", ["tiny", "dense8"])
def test_jobs_and_beats_fit_together(preset):
    work = Generator(load_config(preset).replace(right_rows=24), 3).make(12)
    assert sum(beat["last"] for beat in work.left) == len(work.job)
    assert sum(beat["last"] for beat in work.right) == sum(job["release"] for job in work.job) == 12
    kinds = [job["init"] for job in work.job]
    assert len(work.init) == kinds.count(1) + 4 * kinds.count(2)
    assert len(work.result) == 4 * sum(job["emit"] != 0 for job in work.job)
    assert len(work.scale) == len(work.int8) // 4 == sum(job["emit"] >> 1 for job in work.job)
    assert work.job[-1]["emit"]                  # else the end of the run could not be seen


@pytest.mark.parametrize("kind", KINDS)
def test_operands_are_int8_and_of_their_kind(kind):
    current, reference = panel_of(kind, 50, torch.Generator().manual_seed(1))
    assert current.shape == reference.shape == (4, 50)
    assert min(current.min(), reference.min()) >= -128 and max(current.max(), reference.max()) <= 127
    zeros = int((current == reference).sum())
    assert {"zero": zeros == 200, "farthest": bool(((current - reference).abs() == 255).all()),
            "sparse": zeros > 150}.get(kind, zeros < 200)


def test_padding_of_the_last_scan_is_noise_for_the_encoder_and_zero_for_native():
    current = torch.ones(4, 5, dtype=torch.int64)
    digit = left_beats(current, current, load_config("tiny"))
    assert digit[-1]["count"] == 1 and digit[-1]["current"][1] == [77] * 4
    native = left_beats(current, 0 * current, load_config("dense8").replace(depth=2, scan=2, slots=2))
    assert native[-1]["value"] == [[1] * 4, [0] * 4] and len(native) == 3


def test_flat_names_ports_and_transposing_twice_changes_nothing():
    assert flat({"slot": [{"k": 1}, {"k": 2}], "last": 0}) == {"slot0_k": 1, "slot1_k": 2, "last": 0}
    tile = torch.arange(32).reshape(4, 8)
    assert blockwise_transpose(tile)[0].tolist() == [0, 8, 16, 24, 4, 12, 20, 28]
    assert torch.equal(blockwise_transpose(blockwise_transpose(tile)), tile)


def test_the_first_mismatch_is_named():
    work = Generator(load_config("tiny"), 1).make(4)
    got = {"accumulators": arrays(work.accumulators), "int8": arrays(work.int8)}
    good = Outcome("tiny", 1)
    compare(good, work, got)
    assert good.passed and good.outputs == work.outputs
    bad, (value,) = Outcome("tiny", 1), got["accumulators"]["value"][5:6]
    want = int(value[3])
    value[3] += 1
    compare(bad, work, got)
    assert not bad.passed and bad.mismatches == 1
    assert bad.first.startswith("tiny seed 1 set 0 accumulators tile 1 row 1 value[3]: got ")
    assert f"law says {want} (0x" in bad.first


def test_machines_of_the_regression_are_no_presets():
    names = {config.name for config in configurations()}
    assert len(names) >= 5 and not names & {"tiny", "paper", "dense8"}
    assert {config.depth for config in configurations()} == {1, 2, 4}
    assert all(config.pegs == 2 for config in configurations())
    assert {config.allocation for config in configurations()} == set(Allocation)
    assert {config.buses for config in configurations()} == {2, 4}
    assert {config.own_sparse_sum for config in configurations() if config.sparse_lanes} == {False, True}
    assert {config.requantise_cycles for config in configurations()} == {1, 2, 3, 4}


def test_long_k_goes_in_chunks_that_end_in_the_captured_result():
    config = load_config("tiny")
    entry = max(vectors.read(), key=lambda entry: entry.current.shape[1])
    chunks = products(entry, config, 2)
    assert len(chunks) == -(-entry.current.shape[1] // config.right_rows) > 1
    assert (chunks[-1].result == entry.result.numpy()).all()
    assert (chunks[1].init == chunks[0].result).all()


def test_plan_refuses_what_does_not_exist():
    with pytest.raises(VidaError, match="unknown bench 'nothing': known are multiplier, "):
        plan(["nothing"])
    with pytest.raises(VidaError, match="bench encoder: dense8, lane native, allocation none, has no such block"):
        plan(["encoder"], load_config("dense8"))
    with pytest.raises(VidaError, match="bench merge: tiny, lane digit, allocation balance, has no such block"):
        plan(["merge"], load_config("tiny"))
    assert not {"encoder", "allocation", "merge"} & {name for name, _ in plan(config=load_config("dense8"))}
    names = [name for name, _ in plan(config=load_config("default"))]
    assert "merge" in names and "allocation" not in names
