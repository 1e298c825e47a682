# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model import checkpoints, frechet
from model.networks import preset
from model.video import batch


def test_distance_of_normal_distributions_whose_distance_is_known():
    generator = torch.Generator().manual_seed(3)
    axes = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0]
    x = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    x = (x - x.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.t()))).t()   # covariance is the identity
    first, second = torch.tensor([1.0, 2.0, 3.0, 0.5]).double(), torch.tensor([2.0, 2.0, 1.0, 0.0]).double()
    found = frechet.frechet(x * first @ axes + 1, x * second @ axes - 1)
    assert found == pytest.approx(4 * 4 + ((first - second) ** 2).sum().item(), rel=1e-6)


def test_distance_of_equal_sets_is_none_and_of_too_few_is_refused():
    x = torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert frechet.frechet(x, x) < 1e-6
    with pytest.raises(VidaError, match="of 1 and 20 videos"):
        frechet.frechet(x[:1], x)


def test_the_committed_network_knows_the_motions():
    videos, label = batch(preset("small"), 96, 7)
    network = frechet.load()
    with torch.no_grad():
        right = network.guess(network.raw(videos))[0].argmax(1) == label
    assert right.float().mean() > 0.95
    assert frechet.features(videos).shape == (96, frechet.FEATURES)
    assert frechet.PATH.stat().st_size < 1 << 20


def test_noise_and_stillness_are_far_from_the_source():
    clean = frechet.source_videos(preset("small"), 48, 5)
    near, spread = frechet.floor("small", 48, 3)
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    still = clean[:, :1].expand_as(clean)
    for worse in (noisy, still):
        assert frechet.to_source("small", worse) > near + 6 * spread


def test_videos_of_other_shapes_are_resampled():
    assert frechet.to_source("tiny", frechet.source_videos(preset("tiny"), 32, 5)) < 20


def test_training_writes_a_checkpoint(tmp_path, monkeypatch):
    frechet.main(2, 4, 0, tmp_path / "f.safetensors")
    tensors, facts = checkpoints.read(tmp_path / "f.safetensors")
    assert facts["command"] == "python -m model.frechet --steps 2 --batch 4 --seed 0"
    checkpoints.write(tmp_path / "g.safetensors", {"mean": tensors["mean"]}, {})
    monkeypatch.setattr(frechet, "PATH", tmp_path / "g.safetensors")
    frechet.load.cache_clear()
    with pytest.raises(VidaError, match="does not hold this feature network"):
        frechet.load()
    frechet.load.cache_clear()
