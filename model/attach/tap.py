# SPDX-License-Identifier: Apache-2.0
"""Sees, and may replace, every matrix product of an unmodified module's forward passes.

Hooks keep a stack of the modules whose forward runs; a torch function mode, active inside the model's own forward
only, hands `linear` and `scaled_dot_product_attention` to a watcher. Nothing of the model is written, so that it is
bit-identical once the hooks are off. Products that are neither are reported by name.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from hw.errors import VidaError

#: Functions that multiply matrices and are not covered.
_PRODUCTS = {
    "matmul", "bmm", "mm", "baddbmm", "addbmm", "addmm", "einsum", "linear", "multi_head_attention_forward",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
}


@dataclass(frozen=True)
class LinearCall:
    """A linear layer's call: `key` is its name, with "#2" for the second call of a forward pass."""

    key: str
    name: str
    module: nn.Linear
    input: Tensor


@dataclass(frozen=True)
class AttentionCall:
    """A `scaled_dot_product_attention`, named by the module that calls it; operands are (..., H, N, d)."""

    key: str
    query: Tensor
    key_rows: Tensor
    value: Tensor
    mask: Tensor | None
    dropout: float
    causal: bool
    scale: float
    grouped: bool


Run = Callable[[], Tensor]


class Watcher(Protocol):
    """What a `Tap` tells; `run` gives the result that the model itself would have."""

    def begin(self, given: Mapping[str, Any]) -> None:
        """A forward pass of the model begins, with these arguments by name."""

    def linear(self, call: LinearCall, run: Run) -> Tensor:
        """The result of a linear layer."""

    def attention(self, call: AttentionCall, run: Run) -> Tensor:
        """The result of an attention."""

    def other(self, name: str, function: str) -> None:
        """Another product was seen in module `name`."""


class Tap(TorchFunctionMode):
    """Connects a watcher to `model` until `remove`.

    Raises `VidaError` for a compiled model, whose functions Python does not see.
    """

    def __init__(self, model: nn.Module, watcher: Watcher) -> None:
        super().__init__()
        if hasattr(model, "_orig_mod"):
            raise VidaError(f"{type(model._orig_mod).__name__} is compiled: attach to the module before torch.compile")
        self.watcher, self.model = watcher, model
        self.stack: list[tuple[str, nn.Module]] = []
        self.turns: Counter[str] = Counter()
        self.active = False
        self.handles = [model.register_forward_pre_hook(self._enter, with_kwargs=True)]
        for name, module in model.named_modules():
            self.handles.append(module.register_forward_pre_hook(self._push(name)))
            self.handles.append(module.register_forward_hook(self._pop, always_call=True))
        self.handles.append(model.register_forward_hook(self._leave, always_call=True))

    def remove(self) -> None:
        """Take every hook off."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.stack.clear()
        self.turns.clear()
        self.watcher.begin(inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments)
        self.__enter__()
        self.active = True

    def _leave(self, *_: Any) -> None:
        if self.active:  # not where the watcher refused to begin
            self.active = False
            self.__exit__(None, None, None)

    def _push(self, name: str) -> Callable[..., None]:
        return lambda module, args: self.stack.append((name, module))

    def _pop(self, *_: Any) -> None:
        if self.stack:
            self.stack.pop()

    def _key(self, name: str) -> str:
        self.turns[name] += 1
        return name if self.turns[name] == 1 else f"{name}#{self.turns[name]}"

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self.stack:
            return func(*args, **kwargs)
        name, module = self.stack[-1]
        if func is functional.linear and isinstance(module, nn.Linear) and _argument(args, kwargs, 1) is module.weight:
            call = LinearCall(self._key(name), name, module, args[0] if args else kwargs["input"])
            return self.watcher.linear(call, lambda: func(*args, **kwargs))
        if func is functional.scaled_dot_product_attention:
            return self.watcher.attention(self._attention(name, args, kwargs), lambda: func(*args, **kwargs))
        function = getattr(func, "__name__", "")
        if function in _PRODUCTS and not (function == "einsum" and len(args) < 3):
            self.watcher.other(name, function)
        return func(*args, **kwargs)

    def _attention(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AttentionCall:
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = dict(zip(names, args)) | dict(kwargs)
        query, scale = given["query"], given.get("scale")
        return AttentionCall(
            self._key(name), query, given["key"], given["value"], given.get("attn_mask"),
            given.get("dropout_p", 0.0), given.get("is_causal", False),
            query.shape[-1] ** -0.5 if scale is None else scale, given.get("enable_gqa", False),
        )


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int) -> Any:
    return args[place] if len(args) > place else kwargs.get(("input", "weight", "bias")[place])
