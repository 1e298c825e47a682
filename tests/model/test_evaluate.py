# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from model import evaluate
from model.evaluate import fewer_steps, float_samples, float_videos, integer_samples, integer_videos, of_method, starts
from model.quantise import load_quantised


def test_quality_of_the_methods():
    dense, ditto, vida = (of_method("tiny", name, 8, 2) for name in ("dense", "ditto", "vida"))
    assert dense["psnr_db"] is None and ditto == dense                # equal videos have no PSNR
    assert dense["psnr_float_db"] > 30 and dense["frechet"] is None
    assert 10 < vida["psnr_db"] < dense["psnr_float_db"] and 0 < vida["ssim"] < dense["ssim"] == pytest.approx(1)
    assert 15 < fewer_steps("tiny", 8, 2)["psnr_db"] < 60


def test_many_videos_have_a_frechet_distance():
    assert of_method("tiny", "dense", 8, evaluate.LEAST)["frechet"] > 0


def test_more_videos_than_the_checkpoint_holds():
    network = load_quantised("tiny")[0]
    noise, labels = starts(network, 6)
    assert torch.equal(noise[:4], network.noise) and labels == [0, 1, 2, 3, 0, 1]
    assert noise[4].float().std() == pytest.approx(4096, rel=0.1) and not torch.equal(noise[4], noise[0])
    for videos in (integer_samples("tiny", "dense", 8, 6), float_samples("tiny", 8, 6)):
        assert videos.shape == noise.shape


def test_what_was_sampled_once_is_not_sampled_again(monkeypatch):
    videos = [integer_videos("tiny", "dense", 8, 2), float_videos("tiny", 8, 2)]
    monkeypatch.setattr(evaluate, "sample_integer", None)
    monkeypatch.setattr(evaluate, "sample_float", None)
    again = [integer_videos("tiny", "dense", 8, 1), float_videos("tiny", 8, 1)]
    assert all(torch.equal(one, two[:1]) for one, two in zip(again, videos, strict=True))
    with pytest.raises(TypeError):                                     # another method is another run
        integer_videos("tiny", "vida", 8, 1, refresh=3)
