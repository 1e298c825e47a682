# SPDX-License-Identifier: Apache-2.0
"""A user's layers in integers: operands quantised, multiplied by the methods' operators, and given back as reals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hw.errors import VidaError
from model.approximate.chain import Approximate
from model.approximate.work import Work
from model.attach.facts import unfit
from model.attach.layout import Geometry, Rows, join, split
from model.attach.methods import Methods
from model.attach.serving import Layers
from model.attach.sites import (
    AttentionConstants,
    LayerSite,
    LinearConstants,
    attention_constants,
    linear_constants,
    quantise8,
)
from model.attach.statistics import Watching
from model.attach.tap import AttentionCall, LinearCall, Run
from model.exact.sparsity.eager import LEAST, check_scale
from model.exact.vector.softmax import mean, softmax
from model.exact.vector.tables import build_tables
from model.networks import CROSS, FULL, TEMPORAL


class Engine:
    """The watcher of an attached model.

    Parameters
    ----------
    model, layers : as they were calibrated; layers that are not in `layers.keys` stay in float
    methods : makes fresh operators for each video and branch
    branches : calls of the model that make one timestep
    statistics : whether to count operands
    """

    def __init__(self, model: nn.Module, layers: Layers, methods: Methods, branches: int, statistics: bool) -> None:
        self.model, self.calibration, self.keys = model, layers.calibration, layers.keys
        self.sites, self.methods, self.branches = layers.sites, methods, branches
        self.tables = build_tables()
        self.watching = Watching() if statistics else None
        self.linears: dict[str, LinearConstants] = {}
        self.attentions: dict[str, AttentionConstants] = {}
        self.geometry: Geometry | None = None
        self.unseen: dict[str, str] = {}
        self.reset()

    def reset(self) -> None:
        """Forget every reference: another video begins."""
        self.calls, self.step, self.branch = 0, 0, 0
        self.operators: dict[tuple[int, int], Approximate] = {}
        self.shapes: dict[tuple[str, int], torch.Size] = {}
        self.conditions: dict[tuple[object, ...], Tensor] = {}
        self.changing: set[str] = set()
        if self.watching is not None:
            self.watching.forget()

    def begin(self, given: Mapping[str, Any]) -> None:
        """As `Watcher.begin`: timesteps and branches are told apart by the order of the calls."""
        self.step, self.branch = divmod(self.calls, self.branches)
        self.calls += 1
        if self.calibration.layout is not None:
            self.geometry = self.calibration.layout.shape(self.model, given)
        for (branch, _), operators in self.operators.items():
            if branch == self.branch:
                operators.begin(self.step)

    def constants_of(self, key: str, layer: nn.Linear) -> LinearConstants:
        """Constants of a linear layer, made when they are first asked for."""
        name = key.partition("#")[0]
        if name not in self.linears:
            facts = [one.absmax for other, one in self.calibration.linears.items() if other.partition("#")[0] == name]
            self.linears[name] = linear_constants(layer, max(facts))
        return self.linears[name]

    def _operators(self, video: int) -> Approximate:
        place = self.branch, video
        if place not in self.operators:
            counting = self.watching is not None
            self.operators[place] = self.methods.make(self.geometry, self.constants_of, counting)
            self.operators[place].begin(self.step)
        return self.operators[place]

    def _check_shape(self, key: str, shape: torch.Size) -> None:
        before = self.shapes.setdefault((key, self.branch), shape)
        if before != shape:
            raise VidaError(f"layer '{key}' has an operand of shape {tuple(shape)} at step {self.step}, "
                            f"{tuple(before)} before: reset() begins another video, and branches of guidance that are "
                            f"called one by one are told by branches= (now {self.branches})")

    def other(self, name: str, function: str) -> None:
        """As `Watcher.other`: listed by the calibration."""

    def _unseen(self, key: str, calibrated: bool) -> None:
        """A layer stays in float; where the calibration has never seen it, say so."""
        if not calibrated:
            reason = "not called in the calibrating run, so it has no scale: calibrate on a run that calls it"
            self.unseen.setdefault(key, reason)

    def linear(self, call: LinearCall, run: Run) -> Tensor:
        """As `Watcher.linear`."""
        if call.key not in self.keys:
            self._unseen(call.key, call.key in self.calibration.linears)
            return run()
        self._check_shape(call.key, call.input.shape)
        constants, site = self.constants_of(call.key, call.module), self.sites[call.key]
        arrangement = self.calibration.arrangement(self.model, call.name)
        rows = split(quantise8(call.input, constants.scale), arrangement, self.geometry)
        text = LayerSite("linear", site.layer, "none", f"{site.key}:text")
        acc = join(Rows(self._products(site, rows.video, constants),
                        None if rows.text is None else self._products(text, rows.text, constants)),
                   arrangement, call.input.shape[:-1])
        return (acc.double() * constants.places).to(call.input)

    def _products(self, site: LayerSite, videos: Tensor, constants: LinearConstants) -> Tensor:
        """Accumulators (V, F, T, N) of int8 rows (V, F, T, K)."""
        results = []
        for video, rows in enumerate(videos):
            self._see(site, (self.branch, video), (rows,), True)
            operators = self._operators(video)
            product = partial(operators.linear, site, rows, constants.right, constants.bias)
            results.append(self._counted(site, operators.work, product))
        return torch.stack(results)

    def _counted(self, site: LayerSite, work: Work, product: Callable[[], Tensor]) -> Tensor:
        """A product, its work added to the layer's."""
        counters = work.total, work.done, work.digits
        before = [counter.total() for counter in counters]
        result = product()
        if self.watching is not None:
            entry = self.watching.layer(site.key, site.kind, site.block)
            total, done, digits = (now.total() - then for now, then in zip(counters, before, strict=True))
            entry.macs, entry.done, entry.digits = entry.macs + total, entry.done + done, entry.digits + digits
        return result

    def attention(self, call: AttentionCall, run: Run) -> Tensor:
        """As `Watcher.attention`."""
        if call.key not in self.keys:
            self._unseen(call.key, call.key in self.calibration.attentions)
            return run()
        if reason := unfit(call):
            raise VidaError(f"attention '{call.key}', fit when it was calibrated, no longer is: {reason}")
        self._check_shape(call.key, call.query.shape)
        self._check_shape(f"{call.key} (K)", call.key_rows.shape)
        if call.key not in self.attentions:
            facts = self.calibration.attentions[call.key]
            self.attentions[call.key] = attention_constants(facts.absmax, call.scale)
        constants = self.attentions[call.key]
        operands = (quantise8(x, scale) for x, scale in
                    zip((call.query, call.key_rows, call.value), constants.operands, strict=True))
        q, k, v = (self._matrices(x) for x in operands)
        dropped = self._dropped(call, constants)
        results = [self._attend(call.key, video, part, constants, None if dropped is None else dropped[video])
                   for video, part in enumerate(zip(q, k, v, strict=True))]
        values = torch.stack(results).reshape(*call.query.shape[:-1], call.value.shape[-1])
        return (values.double() * constants.mean).to(call.query)

    def _matrices(self, x: Tensor) -> Tensor:
        """(..., H, N, d) as (V, A, H, N, d)."""
        lead, videos = x.shape[:-3].numel(), 1 if self.geometry is None else self.geometry.videos
        return x.reshape(videos if lead % videos == 0 else 1, -1, *x.shape[-3:])

    def _dropped(self, call: AttentionCall, constants: AttentionConstants) -> Tensor | None:
        """Scores (V, A, H, N, M) that a mask drops, bool."""
        shape = (*call.query.shape[:-1], call.key_rows.shape[-2])
        if call.mask is not None:
            check_scale(constants.softmax)
            kept = call.mask if call.mask.dtype is torch.bool else call.mask == 0
            return self._matrices((~kept).cpu().expand(shape))
        if call.causal:
            return self._matrices(torch.ones(shape, dtype=torch.bool).triu(1))
        return None

    def _attend(self, key: str, video: int, operands: tuple[Tensor, ...], constants: AttentionConstants,
                dropped: Tensor | None) -> Tensor:
        """The int16 mean (A, H, N, d) of int8 operands of one video."""
        q, k, v = operands
        operators, context = self._operators(video), (self.branch, video)
        site, shape = self._site(key, context, k, v), q.shape
        if site.block == CROSS:
            q, k, v = self._by_frame(q, k, v)
        values_site = LayerSite("values", site.layer, site.block, site.key)
        frames = site.block not in (TEMPORAL, FULL)
        once = slice(1 if site.block == CROSS else None)  # the condition is the same in all frames
        self._see(site, context, (q, k[once]), frames)
        scores = self._counted(site, operators.work, partial(operators.attention, site, q, k.transpose(-1, -2)))
        if dropped is not None:
            if len(dropped) != len(scores):
                dropped = self._frames_of(dropped)
            scores = torch.where(dropped, LEAST, scores)
        p, row_sum = softmax(scores, constants.softmax, self.tables.exp2)
        self._see(values_site, context, (p, v[once]), frames)
        values = self._counted(values_site, operators.work, partial(operators.attention, values_site, p, v))
        result = mean(values, row_sum, self.tables.reciprocal)
        if result.shape[0] != shape[0]:
            result = result.transpose(0, 1).flatten(1, 2)[None]  # (F, H, T, d) to (1, H, F T, d)
        return result.reshape(*shape[:-1], -1)

    def _see(self, site: LayerSite, context: object, operands: tuple[Tensor, ...], frames: bool) -> None:
        if self.watching is not None:
            entry = self.watching.layer(site.key, site.kind, site.block)
            self.watching.see(entry, self.step, context, operands, frames)

    def _site(self, key: str, context: tuple[int, int], k: Tensor, v: Tensor) -> LayerSite:
        """The scores' site; cross-attention to a condition that frames or timesteps change is one of whole matrices.

        The methods take a condition for constant. One that has changed is no longer, until another video begins.
        """
        site = self.sites[key]
        if site.block != CROSS:
            return site
        for place, x in enumerate((k, v)):
            before = self.conditions.setdefault((key, context, place), x)
            if not torch.equal(before, x) or not torch.equal(x, x[:1].expand(x.shape)):
                self.changing.add(key)
        return LayerSite(site.kind, site.layer, FULL, site.key) if key in self.changing else site

    def _by_frame(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-attention's Q as (F, H, T, d) where it came as one matrix, with its keys for every frame."""
        if self.geometry is not None and len(q) == 1 and q.shape[2] == self.geometry.frames * self.geometry.tokens:
            q = self._frames_of(q)
        return q, *(x[:1].expand(len(q), -1, -1, -1) for x in (k, v))

    def _frames_of(self, x: Tensor) -> Tensor:
        """(1, H, F T, ...) as (F, H, T, ...)."""
        return x[0].unflatten(1, (self.geometry.frames, self.geometry.tokens)).transpose(0, 1)
