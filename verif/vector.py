# SPDX-License-Identifier: Apache-2.0
"""Operations of the vector unit for tests and benches: command, beats of every stream, and what the law says."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hw.vector.control import VectorControl
from hw.vector.operations import STREAMS, TWICE, Op
from model.exact.vector.gelu import GeluParams, gelu
from model.exact.vector.layernorm import LayerNormParams, layernorm
from model.exact.vector.residual import ResidualParams, residual
from model.exact.vector.scaling import Scale, requantise8
from model.exact.vector.snap import snap
from model.exact.vector.softmax import normalise, softmax
from model.exact.vector.tables import build_tables

_BITS = {"x": 32, "y": 16, "u": 32, "v": 16}


@dataclass(frozen=True)
class Operation:
    """One command: its fields that are not 0, operands (rows, cols) or, of a vector, (cols,), and the law's result.

    `sums` are the row sums that it leaves from entry `command["sums"]` on (softmax).
    """

    command: dict[str, int]
    operands: dict[str, Tensor]
    result: Tensor
    sums: Tensor | None = None


def requantise16_of(x: Tensor, scale: Scale) -> Operation:
    """`requantise8` of int16."""
    return Operation(_command(Op.REQUANTISE16, x, multiplier=scale.multipliers[0], shift=scale.shift), {"x": x},
                     requantise8(x, scale))


def layernorm_of(x: Tensor, scale: Tensor, shift: Tensor, params: LayerNormParams, group: int = 1) -> Operation:
    """`layernorm` with modulation vectors (cols,); `group` rows are read once before the first is read again."""
    out = params.output
    command = _command(Op.LAYERNORM, x, epsilon=params.epsilon, multiplier=out.multipliers[0], shift=out.shift,
                       group=group - 1)
    return Operation(command, {"x": x, "u": scale, "v": shift},
                     layernorm(x, scale, shift, params, build_tables().rsqrt))


def softmax_of(acc: Tensor, scale: Scale, sums: int = 0, group: int = 1) -> Operation:
    """`softmax`; row sums go to entry `sums` and those behind it."""
    result, total = softmax(acc, scale, build_tables().exp2)
    command = _command(Op.SOFTMAX, acc, multiplier=scale.multipliers[0], shift=scale.shift, sums=sums, group=group - 1)
    return Operation(command, {"x": acc}, result, total)


def normalise_of(acc: Tensor, row_sum: Tensor, scale: Scale, sums: int = 0) -> Operation:
    """`normalise` by the row sums that stand in the unit from entry `sums` on."""
    return Operation(_command(Op.NORMALISE, acc, shift=scale.shift, sums=sums), {"x": acc, "u": _columns(scale, acc)},
                     normalise(acc, row_sum, scale, build_tables().reciprocal))


def gelu_of(acc: Tensor, params: GeluParams) -> Operation:
    """`gelu`."""
    out = params.output
    command = _command(Op.GELU, acc, shift=params.hidden.shift, multiplier=out.multipliers[0], shift2=out.shift)
    return Operation(command, {"x": acc, "u": _columns(params.hidden, acc)}, gelu(acc, params, build_tables().gelu))


def residual_of(x: Tensor, gate: Tensor, acc: Tensor, params: ResidualParams) -> Operation:
    """`residual` on the stream x with a gate (cols,)."""
    command = _command(Op.RESIDUAL, acc, shift=params.branch.shift, shift2=params.fraction)
    return Operation(command, {"x": acc, "y": x, "u": _columns(params.branch, acc), "v": gate},
                     residual(x, gate, acc, params))


def snap_of(x: Tensor, reference: Tensor, threshold: int) -> Operation:
    """`snap`."""
    return Operation(_command(Op.SNAP, x, threshold=threshold), {"x": x, "y": reference}, snap(x, reference, threshold))


def traffic(operations: Iterable[Operation], lanes: int, draw: random.Random) -> dict[str, list[dict[str, Any]]]:
    """Beats of every stream, "o" the expected ones, in which None stands for what may be anything.

    Elements beyond a row's columns are drawn at random.
    """
    beats: dict[str, list[dict[str, Any]]] = {name: [] for name in ("command", *VectorControl.ORDER, "o")}
    for operation in operations:
        beats["command"].append(operation.command)
        op, (rows, _) = Op(operation.command["op"]), operation.result.shape
        group = operation.command["group"] + 1 if op in TWICE else rows
        for start in range(0, rows, group):
            chosen = range(start, min(start + group, rows))
            for name, tensor in operation.operands.items():
                again = 2 if name == "x" and op in TWICE else 1
                for row in [*chosen] * again:
                    values = (tensor if tensor.dim() == 1 else tensor[row]).tolist()
                    low, high = -(1 << _BITS[name] - 1), (1 << _BITS[name] - 1) - 1
                    beats[name] += [{"value": part + [draw.randint(low, high) for _ in range(lanes - len(part))]}
                                    for part in _parts(values, lanes)]
            for row in chosen:
                parts = _parts(operation.result[row].tolist(), lanes)
                beats["o"] += [{"value": part + [None] * (lanes - len(part)), "last": int(n == len(parts) - 1)}
                               for n, part in enumerate(parts)]
        assert set(operation.operands) == {"x", *STREAMS[op]}
    return beats


def _parts(values: list[int], lanes: int) -> list[list[int]]:
    return [values[n:n + lanes] for n in range(0, len(values), lanes)]


def _columns(scale: Scale, x: Tensor) -> Tensor:
    return scale.multiplier.expand(x.shape[-1])


def _command(op: Op, x: Tensor, **fields: int) -> dict[str, int]:
    rows, cols = x.shape
    zero = dict.fromkeys(("group", "epsilon", "multiplier", "shift", "shift2", "sums", "threshold"), 0)
    return {"op": op.value, "cols": cols, "rows": rows, **zero, **fields}
