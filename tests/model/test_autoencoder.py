# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model import checkpoints
from model.autoencoder import Autoencoder, clips, load_autoencoder, psnr, to_pixels
from model.networks import preset
from model.video import batch


def test_committed_autoencoder_gives_frames_back():
    assert psnr(load_autoencoder(), batch(preset("latent"), 8, 1 << 43)[0]) > 33


def test_latents_have_the_shape_and_spread_that_a_network_expects():
    config = preset("latent")
    latents, label = clips(config, 8, 1 << 43)
    assert latents.shape == (8, config.frames, *config.frame_shape) and label.shape == (8,)
    assert latents.std() == pytest.approx(1, abs=0.1) and latents.abs().max() < 8


def test_pixels_stay_and_latents_are_decoded():
    pixels = torch.full((1, 8, 24, 24), 2048)
    assert torch.equal(to_pixels(preset("full"), pixels), torch.full((1, 8, 24, 24), 0.5))
    config = preset("latent")
    latents, video = clips(config, 1, 3)[0], batch(config, 1, 3)[0]
    assert (to_pixels(config, (4096 * latents).round().long()) - video).square().mean() < 0.004


def test_another_autoencoder_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    tensors = Autoencoder().state_dict() | {"encoder.0.weight": torch.zeros(3)}
    checkpoints.write(path, tensors, {"command": "none"})
    with pytest.raises(VidaError, match=r"tensor 'encoder.0.weight' is \(3,\), expected \(24, 1, 4, 4\)"):
        load_autoencoder(path)
