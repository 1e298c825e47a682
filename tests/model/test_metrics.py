# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from model.metrics import cosine, psnr, ssim


def test_equal_videos():
    video = torch.rand(2, 3, 16, 16)
    assert psnr(video, video) == math.inf
    assert ssim(video, video) == pytest.approx(1) and cosine(video, video) == pytest.approx(1)


def test_psnr_of_a_known_error():
    video = torch.zeros(1, 16, 16)
    assert psnr(video + 0.2, video) == pytest.approx(20)  # peak-to-peak 2, error 0.2: a ratio of 10


def test_ssim_and_cosine_fall_with_noise():
    video = torch.linspace(-1, 1, 256).reshape(1, 16, 16)
    noise = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
    small, large = video + 0.1 * noise, video + 0.5 * noise
    assert 1 > ssim(small, video) > ssim(large, video)
    assert 1 > cosine(small, video) > cosine(large, video)
