# SPDX-License-Identifier: Apache-2.0
"""One float run of a user's model: the static scales, and which layers make an attention or an MLP.

What feeds what is not guessed from names: a projection is one whose output is an attention's operand bit for bit, an
MLP's second layer one whose input is a known activation of the first one's output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hw.errors import VidaError
from model.attach.facts import AttentionFacts, Calibration, LinearFacts, unfit
from model.attach.layout import Layout, layout_of, split
from model.attach.tap import AttentionCall, LinearCall, Run, Tap

#: Elementwise functions that may stand between the two layers of an MLP.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu (tanh)": partial(functional.gelu, approximate="tanh"), "gelu": functional.gelu, "silu": functional.silu,
    "relu": functional.relu,
}
#: What projections are called, where their output is not an attention's operand bit for bit.
_NAMES = {part: {part, f"to_{part}", f"{part}_proj", f"{part}_linear"} for part in "qkv"}
_ONE_ROW = ("conditioning, one row a video: it depends on the timestep, not on the video, so the host computes it "
            "beforehand; left in float")


class _Watch:
    """The watcher of a calibrating run: changes nothing."""

    def __init__(self, model: nn.Module, found: Calibration) -> None:
        self.model, self.found = model, found
        self.calls = 0
        self.outputs: dict[str, tuple[Tensor, Tensor]] = {}
        self.before: tuple[str, Tensor] | None = None
        self.attended: tuple[str, Tensor] | None = None

    def begin(self, given: Mapping[str, Any]) -> None:
        """As `Watcher.begin`."""
        self.calls += 1
        self._forget()
        if self.found.layout is not None and self.calls == 1:
            self.found.geometry = self.found.layout.shape(self.model, given)

    def _forget(self) -> None:
        self.outputs.clear()
        self.before = self.attended = None

    def linear(self, call: LinearCall, run: Run) -> Tensor:
        """As `Watcher.linear`."""
        result, x = run(), call.input
        facts = self.found.linears.get(call.key)
        if facts is None:
            facts = self.found.linears[call.key] = LinearFacts(0.0, tuple(x.shape))
            self._check_linear(call)
        facts.absmax = max(facts.absmax, _absmax(call.key, x))
        if self.calls == 1:
            self._relate(call, x, result)
        return result

    def _check_linear(self, call: LinearCall) -> None:
        if call.input.dim() < 3:
            self.found.uncovered[call.key] = _ONE_ROW
            return
        try:
            split(call.input, self.found.arrangement(self.model, call.name), self.found.geometry)
        except VidaError as error:
            self.found.uncovered[call.key] = f"{error}: give a Layout that fits"

    def _relate(self, call: LinearCall, x: Tensor, result: Tensor) -> None:
        """Whether this layer is the second of an MLP, or reads an attention."""
        if self.before is not None and self.before[1].shape == x.shape and x.dim() > 2:
            name, output = self.before
            for activation, function in ACTIVATIONS.items():
                if torch.equal(function(output), x):
                    self.found.pairs[name, call.key] = activation
        if self.attended is not None and _rows(self.attended[1], x.shape) and torch.equal(
            self.attended[1].reshape(x.shape), x
        ):
            self.found.attentions[self.attended[0]].sources["out"] = call.key, 0
            self.attended = None
        self.before = call.key, result
        self.outputs[call.key] = x, result

    def attention(self, call: AttentionCall, run: Run) -> Tensor:
        """As `Watcher.attention`."""
        result, operands = run(), (call.query, call.key_rows, call.value)
        facts = self.found.attentions.get(call.key)
        if facts is None:
            shape = tuple(call.query.shape), tuple(call.key_rows.shape)
            facts = self.found.attentions[call.key] = AttentionFacts([0.0] * 3, shape, scale=call.scale)
            if reason := unfit(call):
                self.found.uncovered[call.key] = reason
        facts.absmax = [max(a, _absmax(call.key, x)) for a, x in zip(facts.absmax, operands, strict=True)]
        if self.calls == 1:
            found = {part: self._source(x) for part, x in zip("qkv", operands, strict=True)}
            facts.exact = frozenset(part for part, source in found.items() if source)
            name = call.key.partition("#")[0]
            sources = {part: source or self._named(name, part) for part, source in found.items()}
            facts.sources |= {part: source[0] for part, source in sources.items() if source}
            inputs = [source[1] for source in sources.values() if source]
            facts.same_input = len(inputs) == 3 and all(_same(inputs[0], x) for x in inputs)
            self.attended = call.key, result.transpose(-2, -3).flatten(-2)
            self.before = None
        return result

    def _source(self, operand: Tensor) -> tuple[tuple[str, int], Tensor] | None:
        """The layer whose output is the operand (..., H, N, d), the part of it, and the layer's input."""
        rows = operand.transpose(-2, -3).flatten(-2)  # (..., N, H d)
        width = rows.shape[-1]
        for key, (x, output) in reversed(self.outputs.items()):
            if output.shape[-1] % width or output.shape[:-1].numel() != rows.shape[:-1].numel():
                continue
            for part, piece in enumerate(output.split(width, -1)):
                if torch.equal(piece.reshape(rows.shape), rows):
                    return (key, part), x
        return None

    def _named(self, attention: str, part: str) -> tuple[tuple[str, int], Tensor] | None:
        """The projection of an attention that is called as usual, last called first."""
        for key, (x, _) in reversed(self.outputs.items()):
            if key.startswith(f"{attention}.") and key.rpartition(".")[2].partition("#")[0] in _NAMES[part]:
                return (key, 0), x
        return None

    def other(self, name: str, function: str) -> None:
        """As `Watcher.other`."""
        kind = ("convolution (a patch embedding runs once a step): left in float" if function.startswith("conv") else
                f"{function}: only nn.Linear and scaled_dot_product_attention are covered; an attention that is "
                "written out needs a processor that calls scaled_dot_product_attention")
        self.found.uncovered.setdefault(name or type(self.model).__name__, kind)


def _absmax(key: str, x: Tensor) -> float:
    largest = x.detach().abs().max().item() if x.numel() else 0.0
    if not largest < float("inf"):
        raise VidaError(f"layer '{key}' has an operand of magnitude {largest}: the float run itself is not finite")
    return largest


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and torch.equal(a, b))


def _rows(x: Tensor, shape: torch.Size) -> bool:
    return x.shape[-1] == shape[-1] and x.numel() == shape.numel()


@torch.no_grad()
def calibrate(model: nn.Module, run: Callable[[], object], layout: Layout | None = None) -> Calibration:
    """Call `run`, which samples with `model` in float, and see what is needed to do it in integers.

    Parameters
    ----------
    model : unmodified, and unmodified afterwards
    run : calls the model as often as it likes, as the later runs will: all steps and branches of guidance
    layout : of a class that has no built-in one

    Raises `VidaError` for a run that never calls the model, for operands that are not finite, and for a model that
    drops out values at random.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and module.training and module.p:
            raise VidaError(f"layer '{name}' drops out values at random: call model.eval() first")
    found = Calibration(layout=layout or layout_of(model))
    watch = _Watch(model, found)
    tap = Tap(model, watch)
    try:
        run()
    finally:
        tap.remove()
    watch._forget()
    if not watch.calls:
        raise VidaError(f"the calibrating run never called {type(model).__name__}: pass the model that is sampled")
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name not in found.linears:
            found.uncovered[name] = "not called as a module in the calibrating run: left in float"
    return found
