# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.operators import Operators, Site, matmul
from model.exact.step import denoise
from model.methods import Vida, method
from model.networks import PRESETS, Family
from model.quantise import load_quantised, quantise


def same_runs(network, name, steps):
    """Both methods from noise to video, compared after every step."""
    dense, other = method("dense"), method(name)
    video = mirror = network.noise[0]
    for step in range(steps):
        video = denoise(network, video, 1, step, steps, dense)
        mirror = denoise(network, mirror, 1, step, steps, other)
        assert torch.equal(video, mirror)
    assert not torch.equal(video, network.noise[0])


@pytest.mark.parametrize(("name", "preset", "steps"), [("ditto", "tiny", 50), ("original", "tiny", 8)])
def test_exact_methods_equal_dense_bit_for_bit(name, preset, steps):
    same_runs(load_quantised(preset)[0], name, steps)


@pytest.mark.parametrize("preset", PRESETS)
def test_ditto_equals_dense_over_a_whole_run_of_every_network(preset):
    same_runs(load_quantised(preset)[0], "ditto", 8)


@pytest.mark.parametrize("family", Family)
def test_ditto_equals_dense_in_every_family_with_random_weights(family, random_network):
    same_runs(quantise(random_network(family)), "ditto", 20)


def test_vida_is_exact_where_every_frame_is_refreshed():
    network = load_quantised("tiny")[0]
    start = network.noise[0]
    assert torch.equal(
        denoise(network, start, 0, 0, 50, Vida(refresh=1)), denoise(network, start, 0, 0, 50, method("dense"))
    )


def random(*shape):
    return torch.randint(-128, 128, shape, generator=torch.Generator().manual_seed(len(shape)))


def test_vida_linear_is_exact():
    left, right, bias = random(4, 8, 16), random(16, 12), random(12)
    site = Site("fc1", 0, "spatial")
    assert torch.equal(Vida().linear(site, left, right, bias), Operators().linear(site, left, right, bias))


@pytest.mark.parametrize("kind", ["scores", "values"])
def test_vida_is_exact_for_a_condition_that_no_frame_changes(kind):
    left, right = random(4, 2, 8, 6), random(1, 2, 6, 5).expand(4, -1, -1, -1)
    site = Site(kind, 0, "cross")
    assert torch.equal(Vida().attention(site, left, right), Operators().attention(site, left, right))


@pytest.mark.parametrize("refresh", [2, 3, 4])
def test_vida_attention_drops_one_product(refresh):
    left, right = random(4, 2, 8, 6), random(4, 2, 6, 8) // 2
    got = Vida(refresh=refresh).attention(Site("scores", 0, "spatial"), left, right)
    for frame in range(4):
        whole = frame - frame % refresh
        expected = matmul(left[whole], right[whole])
        for after in range(whole + 1, frame + 1):
            expected = expected + matmul(left[after], right[after] - right[after - 1])
        assert torch.equal(got[frame], expected)


def test_cross_attention_takes_one_product_a_timestep(random_network):
    network, jobs = quantise(random_network(Family.STDIT)), []
    operators, video = method("ditto", jobs.append), network.noise[0]
    for step in range(2):
        video = denoise(network, video, 0, step, 50, operators)
    found = {(job.site.kind, job.product) for job in jobs if job.site.block == "cross" and job.step}
    assert found == {("q", "single"), ("scores", "single"), ("values", "single"), ("out", "single")}


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("name", ["dense", "ditto", "vida"])
def test_every_recorded_job_obeys_the_contract(name, family, random_network):
    network, jobs = quantise(random_network(family)), []
    operators, video = method(name, jobs.append), network.noise[0]
    for step in range(2):
        video = denoise(network, video, 0, step, 50, operators)
    kinds = {"embed", "qkv", "scores", "values", "out", "fc1", "fc2", "head"}
    assert {job.site.kind for job in jobs} == kinds | ({"q"} if family is Family.STDIT else set())
    for job in jobs:
        assert torch.equal(job.result, job.init + matmul(job.current - job.reference, job.right))
        assert max(job.current.abs().max(), job.right.abs().max()) <= 128
        assert job.result.abs().max() < 1 << 27


def test_mistakes_are_refused():
    with pytest.raises(VidaError, match="'magic'.*dense, original, ditto, vida"):
        method("magic")
    with pytest.raises(VidaError, match="refresh interval 0"):
        method("vida", refresh=0)
