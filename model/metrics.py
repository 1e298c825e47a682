# SPDX-License-Identifier: Apache-2.0
"""How close two videos are: PSNR, SSIM, cosine. Pixels are nominally -1..1, so a peak-to-peak of 2."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

PEAK_TO_PEAK = 2.0
_WINDOW = 7


def psnr(video: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all pixels; infinite for equal videos."""
    error = (video.double() - reference.double()).square().mean().item()
    return math.inf if error == 0 else 10 * math.log10(PEAK_TO_PEAK**2 / error)


def ssim(video: Tensor, reference: Tensor) -> float:
    """Mean structural similarity of frames (..., H, W), uniform 7 x 7 window (Wang et al., 2004)."""
    x, y = (v.double().reshape(-1, 1, *v.shape[-2:]) for v in (video, reference))

    def local(z: Tensor) -> Tensor:
        return functional.avg_pool2d(z, _WINDOW, stride=1)

    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    mean_x, mean_y = local(x), local(y)
    variance_x, variance_y = (unbiased * (local(z * z) - m * m) for z, m in ((x, mean_x), (y, mean_y)))
    covariance = unbiased * (local(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * PEAK_TO_PEAK) ** 2, (0.03 * PEAK_TO_PEAK) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    bottom = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return (top / bottom).mean().item()


def cosine(video: Tensor, reference: Tensor) -> float:
    """Cosine of the angle between two videos taken as vectors."""
    return functional.cosine_similarity(video.double().flatten(), reference.double().flatten(), dim=0).item()


def compare(videos: Tensor, references: Tensor) -> dict[str, float]:
    """Mean over videos (V, F, H, W) of `psnr_db`, `ssim` and `cosine`."""
    measures = {"psnr_db": psnr, "ssim": ssim, "cosine": cosine}
    pairs = list(zip(videos, references, strict=True))
    return {name: sum(measure(*pair) for pair in pairs) / len(pairs) for name, measure in measures.items()}
