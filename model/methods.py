# SPDX-License-Identifier: Apache-2.0
"""The methods: how the products of a denoising step are computed from differences.

`dense` and `original` multiply whole operands (they differ in the array only: `original` skips zeros).
`ditto` (Kim et al., 2024) takes differences to the previous timestep and is exact. `vida` takes differences
to the previous frame, exact for products with weights; of attention's two products it drops one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hw.errors import VidaError
from model.exact.operators import Operators, Recorder, Site
from model.networks import CROSS, FULL, TEMPORAL

#: Frames from one exact attention product to the next under `vida`.
REFRESH = 2


class Ditto(Operators):
    """Differences to the previous timestep, in two products where both operands are activations.

    S_t = S_ref + dQ K_ref^T + Q_t dK^T, the second computed transposed so that the difference is on the left. In
    cross-attention K and V of the condition never change and act as weights: the first product is all, as in the paper.
    The first step has nothing to refer to and multiplies whole operands.
    """

    reference = "timestep"

    def __init__(self, record: Recorder | None = None) -> None:
        super().__init__(record)
        self.last: dict[Site, tuple[Tensor, Tensor, Tensor]] = {}

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """As `Operators.linear`, equal bit for bit."""
        if site not in self.last:
            result = super().linear(site, left, right, bias)
        else:
            before, _, init = self.last[site]
            result = self.run(site, "single", left, before, right, init)
        self.last[site] = left, right, result
        return result

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Operators.attention`, equal bit for bit."""
        if site not in self.last:
            result = super().attention(site, left, right)
        elif site.block == CROSS:  # no timestep changes the condition
            left_before, _, init = self.last[site]
            result = self.run(site, "single", left, left_before, right, init)
        else:
            left_before, right_before, init = self.last[site]
            first = self.run(site, "first", left, left_before, right_before, init)
            turned = [x.transpose(-1, -2) for x in (right, right_before, left, first)]
            result = self.run(site, "second", *turned).transpose(-1, -2)
        self.last[site] = left, right, result
        return result


class Vida(Operators):
    """Differences to the previous frame; of a spatial attention's two products only A_f dB is computed.

    Weight products are exact. Attention products are exact every `refresh` frames, beginning with frame 0,
    and S_f ~ S_(f-1) + A_f (B_f - B_(f-1)) between, computed transposed. Temporal and full attention mix frames, so
    they have no frame reference and multiply whole operands. Cross-attention's right operand is the same in all
    frames: its products are exact.

    Raises `VidaError` for a refresh interval below 1.
    """

    reference = "frame"

    def __init__(self, record: Recorder | None = None, refresh: int = REFRESH) -> None:
        super().__init__(record)
        if refresh < 1:
            raise VidaError(f"refresh interval {refresh}, at least 1 frame allowed")
        self.refresh = refresh

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """As `Operators.linear`, equal bit for bit: frame after frame on the same accumulators."""
        return self._chain(site, left, right, bias.expand(1, left.shape[1], -1))

    def _chain(self, site: Site, left: Tensor, right: Tensor, init: Tensor) -> Tensor:
        """Frames of `left` one by one, times the same `right`: exact."""
        before, results = None, []
        for frame, current in enumerate(left.split(1)):
            init = self.run(site, "single", current, before, right, init, frame)
            results.append(init)
            before = current
        return torch.cat(results)

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Operators.attention`, approximate for spatial attention between refreshes."""
        if site.block in (TEMPORAL, FULL):
            return super().attention(site, left, right)
        if site.block == CROSS:
            return self._chain(site, left, right[:1], left.new_zeros(()))
        results: list[Tensor] = []
        turned_left, turned_right = left.transpose(-1, -2), right.transpose(-1, -2)
        for frame in range(len(left)):
            here, before = slice(frame, frame + 1), slice(frame - 1, frame)
            if frame % self.refresh == 0:
                zero = left.new_zeros(())
                results.append(self.run(site, "single", left[here], None, right[here], zero, frame))
                continue
            operands = turned_right[here], turned_right[before], turned_left[here]
            init = results[-1].transpose(-1, -2)
            results.append(self.run(site, "one", *operands, init, frame).transpose(-1, -2))
        return torch.cat(results)


METHODS = ("dense", "original", "ditto", "vida")


def method(name: str, record: Recorder | None = None, refresh: int = REFRESH) -> Operators:
    """A fresh `Operators` for one sampling run by a method; raises `VidaError` for an unknown name."""
    match name:
        case "dense" | "original":
            return Operators(record)
        case "ditto":
            return Ditto(record)
        case "vida":
            return Vida(record, refresh)
    raise VidaError(f"unknown method '{name}': choose one of {', '.join(METHODS)}")
