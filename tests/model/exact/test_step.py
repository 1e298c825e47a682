# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.checkpoints import load_network
from model.exact.network import pack, unpack
from model.exact.operators import Operators
from model.exact.step import advance, denoise
from model.networks import Family
from model.quantise import load_quantised, quantise
from model.sample import to_float


@pytest.mark.parametrize(("preset", "step"), [("tiny", 5), ("tiny", 40), ("small", 5), ("small", 40)])
def test_integer_step_follows_the_float_step(preset, step):
    network, quantised = load_network(preset)[0], load_quantised(preset)[0]
    moved = denoise(quantised, quantised.noise[1], 1, step, 50, Operators())
    start = to_float(quantised.noise[1])
    with torch.no_grad():
        velocity = network(start[None], torch.tensor([step / 50]), torch.tensor([1]))[0]
    error = 50 * (to_float(moved) - start) - velocity
    assert error.norm() < 0.1 * velocity.norm()


def test_update_rounds_half_up_and_saturates():
    video = torch.tensor([[10, 10, 32767, -32768]])
    acc = torch.tensor([[1, -1, 100, -100]])
    velocity = torch.full((4,), 0.5 * 50 / 4096, dtype=torch.float64)
    assert advance(video, acc, velocity, 50).tolist() == [[11, 10, 32767, -32768]]


@pytest.mark.parametrize("family", Family)
def test_integer_step_of_every_family_follows_the_float_step(family, random_network):
    network = random_network(family)
    quantised = quantise(network)
    moved = denoise(quantised, quantised.noise[1], 1, 10, 50, Operators())
    start = to_float(quantised.noise[1])
    velocity = network(start[None], torch.tensor([0.2]), torch.tensor([1]))[0]
    assert (50 * (to_float(moved) - start) - velocity).norm() < 0.1 * velocity.norm()


@pytest.mark.parametrize("family", Family)
def test_network_survives_its_file_form(family, random_network):
    network = quantise(random_network(family))
    again = unpack(pack(network), network.config)
    start = network.noise[0]
    assert torch.equal(denoise(again, start, 0, 7, 20, Operators()), denoise(network, start, 0, 7, 20, Operators()))


@pytest.mark.parametrize("name", ["noise", "position", "modulation.20"])
def test_tensors_of_another_shape_are_refused(name):
    network = load_quantised("tiny")[0]
    tensors = pack(network)
    with pytest.raises(VidaError, match=rf"tensor '{name}' is \(.*\), expected \(\.\.\., "):
        unpack(tensors | {name: tensors[name][..., :-1]}, network.config)


def test_steps_and_classes_that_are_not_held_are_refused():
    network = load_quantised("tiny")[0]
    with pytest.raises(VidaError, match=r"7 steps: this checkpoint holds \[8, 20, 50\]"):
        denoise(network, network.noise[0], 0, 0, 7, Operators())
    with pytest.raises(VidaError, match=r"class 4: this network knows 0\.\.3"):
        denoise(network, network.noise[0], 4, 0, 50, Operators())
