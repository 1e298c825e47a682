# SPDX-License-Identifier: Apache-2.0
"""ViDA over a sampling run, every reading of its slides: which products, over what, one product or two, thresholds."""

from __future__ import annotations

import torch
from torch import Tensor

from model.approximate.config import Differenced, Over, ViDAConfig
from model.exact.operators import Operators, Recorder, Site
from model.exact.sparsity.columns import snap_columns
from model.exact.vector.snap import snap
from model.networks import CROSS, SPATIAL


class ViDA(Operators):
    """Differences to the previous frame or timestep; attention drops dA B_ref (or A_ref dB) where `products` says so.

    Weight products are exact on snapped operands: x' = reference' where little changed. Attention whose matrices
    mix frames has no frame before it: it multiplies whole operands, or with `mixing` differences of its rows to those
    of the frame before, which is exact. Cross-attention's right operand does not change: one exact product.

    Members
    -------
    snapped, elements : elements that a threshold replaced, and all that it was asked about
    """

    def __init__(self, config: ViDAConfig, frames: int, record: Recorder | None = None) -> None:
        super().__init__(record)
        self.config, self.frames = config, frames
        self.reference = config.over.value
        self.last: dict[Site, tuple[Tensor, Tensor, Tensor]] = {}
        self.snapped = self.elements = 0

    def linear(self, site: Site, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
        """As `Operators.linear`, equal bit for bit on the snapped operand."""
        return self._weigh(site, left, right, bias.expand(*left.shape[:-1], right.shape[-1]))

    def _weigh(self, site: Site, left: Tensor, right: Tensor, init: Tensor) -> Tensor:
        """A product whose right operand neither frames nor timesteps change."""
        if self.config.over is Over.FRAMES:
            return self._chain(site, left, right, init[:1])
        before = self.last.get(site)
        operand = left if before is None else self._snap(site, left, before[0])
        init = init if before is None else before[2]
        result = self.run(site, "single", operand, None if before is None else before[0], right, init)
        self.last[site] = operand, right, result
        return result

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Operators.attention`; approximate for the kinds of `products` between refreshes."""
        if site.block == CROSS:
            return self._weigh(site, left, right[:1], left.new_zeros((*left.shape[:-1], right.shape[-1])))
        if self.config.over is Over.TIMESTEPS:
            result, operands = self._attend(site, left, right, self.last.get(site), self.step, 0)
            self.last[site] = *operands, result
            return result
        if site.block == SPATIAL:
            return self._attend_frames(site, left, right)
        if not self.config.mixing:
            return self.run(site, "single", left, None, right, left.new_zeros(()))
        rows = left.shape[-2] // self.frames
        groups = left.unflatten(-2, (self.frames, rows)).movedim(-3, 0)  # (F, A, H, rows, K)
        zero = left.new_zeros((1, *left.shape[:-2], rows, right.shape[-1]))
        return self._chain(site, groups, right, zero).movedim(0, -3).flatten(-3, -2)

    def _chain(self, site: Site, left: Tensor, right: Tensor, init: Tensor) -> Tensor:
        """Products of items along the first axis, each from the one before on the same sums."""
        before, results = None, []
        for place, current in enumerate(left.split(1)):
            operand = current if before is None else self._snap(site, current, before)
            init = self.run(site, "single", operand, before, right, init, place)
            results.append(init)
            before = operand
        return torch.cat(results)

    def _attend_frames(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        last, results = None, []
        for frame in range(len(left)):
            one = slice(frame, frame + 1)
            result, operands = self._attend(site, left[one], right[one], last, frame, frame)
            last = *operands, result
            results.append(result)
        return torch.cat(results)

    def _attend(self, site: Site, left: Tensor, right: Tensor, last: tuple[Tensor, Tensor, Tensor] | None,
                place: int, start: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One item's product, and its operands as they were multiplied."""
        approximate = site.kind in self.config.products
        if last is None or (approximate and place % self.config.refresh == 0):
            whole = self.run(site, "single", left, None, right, left.new_zeros(()), start)
            return whole, (left, right)
        left_before, right_before, init = last
        if approximate and self.config.differenced is Differenced.LEFT:
            left = self._snap(site, left, left_before)
            return self.run(site, "single", left, left_before, right, init, start), (left, right)
        right = self._snap(site, right.mT, right_before.mT).mT
        if not approximate:
            left = self._snap(site, left, left_before)
            init = self.run(site, "first", left, left_before, right_before, init, start)
        name = "one" if approximate else "second"
        turned = self.run(site, name, right.mT, right_before.mT, left.mT, init.mT, start)
        return turned.mT, (left, right)

    def _snap(self, site: Site, x: Tensor, reference: Tensor) -> Tensor:
        """The operand with little changes taken back, where the configuration has thresholds for its kind."""
        config = self.config
        if site.kind not in config.snapped or not (config.element_threshold or config.column_permille):
            return x
        near = snap(x, reference, config.element_threshold)
        if config.column_permille:
            near = snap_columns(near, reference, config.column_permille, config.column_rule)
        self.elements += x.numel()
        self.snapped += int((near != x).sum())
        return near
