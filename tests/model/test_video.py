# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model.networks import PRESETS, preset
from model.video import MOTIONS, batch, draw


@pytest.mark.parametrize("name", PRESETS)
def test_batch_is_a_function_of_its_seed(name):
    config = preset(name)
    (first, label), (again, _), (other, _) = (batch(config, 3, seed) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (3, config.frames, config.pixels, config.pixels)
    assert first.abs().max() <= 1 and label.max() < config.classes


@pytest.mark.parametrize(("motion", "axis", "sign"), [("right", 3, 1), ("left", 3, -1), ("down", 2, 1), ("up", 2, -1)])
def test_class_is_the_kind_of_motion(motion, axis, sign):
    config = preset("small")
    label = torch.full((8,), MOTIONS.index(motion))
    bright = (draw(label, config, torch.Generator().manual_seed(0)) > 0.5).float()
    place = torch.arange(config.size).float()
    along = bright.sum(dim=5 - axis)  # (N, F, size): the other pixel axis is summed away
    centre = (along * place).sum(-1) / along.sum(-1)
    assert ((centre[:, -1] - centre[:, 0]) * sign > 6).all()


def test_pulse_changes_size():
    config = preset("small")
    video = draw(torch.full((8,), MOTIONS.index("pulse")), config, torch.Generator().manual_seed(0))
    area = (video > 0.5).sum(dim=(2, 3))
    assert (area.amax(dim=1) > 1.5 * area.amin(dim=1)).all()
