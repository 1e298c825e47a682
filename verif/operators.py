# SPDX-License-Identifier: Apache-2.0
"""The fixed operator list `operators.toml`, its captured operands, and the products that are played."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hw.config import TILE
from hw.errors import VidaError
from hw.workspace import build_folder, read_toml
from model import vectors
from model.capture import Selection, capture
from model.checkpoints import WEIGHTS
from model.networks import NetworkConfig
from model.quantise import load_quantised
from model.sample import STEP_CHOICES
from model.vectors import Entry
from verif.stimulus import ACCUMULATORS, INT8, Product

LIST = Path(__file__).with_name("operators.toml")
ATTENTION = ("scores", "values")
REFERENCES = ("none", "timestep", "frame")
#: Products computed on the transpose: their init comes from a product that was not.
TURNED = ("second", "one")
_EMIT = {"accumulators": ACCUMULATORS, "int8": INT8}


class Operator(BaseModel):
    """One operator of the network: its kind, the block it lies in, and what leaves the array."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["qkv", "scores", "values", "out", "fc1", "fc2"]
    layer: int = Field(ge=0)
    emit: tuple[Literal["accumulators", "int8"], ...] = Field(min_length=1)

    @property
    def block(self) -> str:
        """The axis of the block's attention: blocks alternate, spatial first."""
        return "temporal" if self.layer % 2 else "spatial"

    @property
    def label(self) -> str:
        """For tables: `qkv spatial`."""
        return f"{self.kind} {self.block}"


class OperatorList(BaseModel):
    """What `operators.toml` says; see its comments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    network: str
    steps: int
    at: tuple[int, ...] = Field(min_length=1)
    frame: int = Field(ge=1)
    tokens: tuple[int, ...] = Field(min_length=1)
    columns: int = Field(ge=1)
    operator: tuple[Operator, ...] = Field(min_length=1)

    def at_steps(self, steps: int) -> OperatorList:
        """The same operators in a sampling run of `steps` steps, at the same places of it (10, 50, 90 %).

        Raises VidaError for a length that the quantised network holds no modulation vectors for.
        """
        if steps not in STEP_CHOICES:
            raise VidaError(f"sampling run of {steps} steps: the network is quantised for "
                            f"{', '.join(map(str, STEP_CHOICES))}")
        places = tuple(max(1, round(place * steps / self.steps)) for place in self.at)
        return self.model_copy(update={"steps": steps, "at": places})


def load_list(path: Path = LIST) -> OperatorList:
    """The list in `path`; raises VidaError, one line, where it cannot be read or holds what it should not."""
    try:
        return OperatorList.model_validate(read_toml(path, f"operator list {path}"))
    except ValidationError as error:
        item = error.errors()[0]
        where = ".".join(str(part) for part in item["loc"])
        raise VidaError(f"operator list {path}: {where}: {item['msg']}") from None


def shares(chosen: OperatorList, network: NetworkConfig) -> dict[Operator, float]:
    """Each operator's share of the multiply-accumulates of its network; they add up to 1.

    A kind's count in all spatial (temporal) blocks is split alike between the listed operators of that kind
    in such blocks.
    """

    def macs(operator: Operator) -> float:
        per_token = {"qkv": 3, "out": 1, "fc1": 4, "fc2": 4}
        attended = network.tokens if operator.block == "spatial" else network.frames
        width = attended if operator.kind in ATTENTION else per_token[operator.kind] * network.dim
        alike = sum((o.kind, o.block) == (operator.kind, operator.block) for o in chosen.operator)
        return width / alike

    total = sum(macs(operator) for operator in chosen.operator)
    return {operator: macs(operator) / total for operator in chosen.operator}


@dataclass(frozen=True)
class Operands:
    """Captured products of one operator with one reference, in the order in which they are played."""

    operator: Operator
    reference: str
    entries: tuple[Entry, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the operator; a second product is the method's burden, not work done."""
        return sum(e.current.shape[0] * e.current.shape[1] * e.right.shape[1] for e in self.entries
                   if e.product != "second")

    def sampled(self, every: int) -> Operands:
        """About one `every`-th of the panels of a linear operator, in runs of consecutive ones so that tiles overlap.

        Where a run lies moves from step to step; runs of all steps share the weights' right slot, for which the
        fewer panels would else have to wait. Attention keeps all of its panels, since each right slot is used by
        these alone.
        """
        if every == 1 or self.operator.kind in ATTENTION:
            return self
        return replace(self, entries=_runs(self.entries, every))

    def products(self, threshold: int = 0, skip: bool = True) -> list[Product]:
        """Stimulus: the carried tile is the init wherever there is a reference, and leaves again.

        A second product's init arrives transposed, as the first one left it. In a chain of frames the tile
        could stay in the array (hold): with in-place drain that takes the same cycles. The keys of several tokens of
        temporal attention, few columns each, share a right slot.
        """
        if (self.operator.kind, self.operator.block) != ("scores", "temporal"):
            return [self._product(entry, threshold, skip) for entry in self.entries]
        groups: dict[tuple[str, int], list[Product]] = {}
        for entry in self.entries:
            groups.setdefault((entry.product, entry.step), []).append(self._product(entry, threshold, skip))
        return [_side_by_side(group) for group in groups.values()]

    def _product(self, entry: Entry, threshold: int, skip: bool) -> Product:
        emit = sum(_EMIT[name] for name in self.operator.emit)
        init: np.ndarray | None = entry.init.numpy()
        if self.reference != "none":
            emit |= ACCUMULATORS
        elif (init == 0).all():
            init = None
        else:
            init = init[0]
        if entry.product == "first":
            emit = ACCUMULATORS
        return Product(entry.current.numpy(), entry.reference.numpy(), entry.right.numpy(), init,
                       entry.product in TURNED, emit, threshold, skip, entry.result.numpy())


def _side_by_side(products: list[Product]) -> Product:
    """One product of all rows with all right columns: each one's result is a block of the diagonal, the rest unused."""
    first = products[0]
    init = None
    if first.init is not None:
        rows, columns = (np.cumsum([0, *lengths]) for lengths in
                         zip(*((len(product.current), product.right.shape[1]) for product in products)))
        init = np.zeros((rows[-1], columns[-1]), np.int64)
        for n, product in enumerate(products):
            init[rows[n]:rows[n + 1], columns[n]:columns[n + 1]] = product.init
    return replace(first, current=np.concatenate([product.current for product in products]),
                   reference=np.concatenate([product.reference for product in products]),
                   right=np.concatenate([product.right for product in products], 1), init=init, result=None)


def _runs(entries: tuple[Entry, ...], every: int) -> tuple[Entry, ...]:
    """A run of one `every`-th of each entry's panels (at least one); those with equal right operands joined."""
    joined: dict[bytes, list[tuple[Entry, slice]]] = {}
    for turn, entry in enumerate(entries):
        panels = -(-len(entry.current) // TILE)
        length = max(1, panels // every)
        first = (1 + turn) * length % (panels - length + 1)
        rows = slice(TILE * first, TILE * (first + length))
        joined.setdefault(entry.right.numpy().tobytes(), []).append((entry, rows))
    names = ("current", "reference", "init", "result")
    return tuple(replace(parts[0][0], **{name: torch.cat([getattr(entry, name)[rows] for entry, rows in parts])
                                         for name in names}) for parts in joined.values())


def operands(chosen: OperatorList) -> dict[tuple[Operator, str], Operands]:
    """The captured operands of every operator with every reference that applies to it.

    Captured by sampling (about 15 s), then kept in `build/vectors` under a hash of list, weights and code.
    """
    stem = build_folder("vectors") / f"operators-{_identity(chosen)}"
    if stem.with_suffix(".json").exists():
        entries = vectors.read(stem)
    else:
        torch.set_num_threads(1)
        network = load_quantised(chosen.network)[0]
        entries = capture(network, chosen.network, _selections(chosen), chosen.steps)
        vectors.write(stem, entries, "verif.operators")
    result = {}
    order = {"single": 0, "first": 1, "one": 1, "second": 2}
    for operator in chosen.operator:
        for reference in REFERENCES:
            place = operator.kind, operator.layer, reference
            mine = [entry for entry in entries if (entry.kind, entry.layer, entry.reference_kind) == place]
            if mine:
                mine.sort(key=lambda entry: order[entry.product])
                result[operator, reference] = Operands(operator, reference, tuple(mine))
    return result


def _selections(chosen: OperatorList) -> list[Selection]:
    result = []
    for operator in chosen.operator:
        temporal = operator.kind in ATTENTION and operator.block == "temporal"
        # A temporal attention has no previous frame: its method multiplies whole operands.
        references = REFERENCES[:2] if temporal else REFERENCES
        frames = chosen.tokens if temporal else (chosen.frame,)
        columns = None if operator.kind in ATTENTION else chosen.columns
        place = (operator.kind,), (operator.layer,), chosen.at
        result.append(Selection(references, *place, frames, columns=columns))
    return result


def _identity(chosen: OperatorList) -> str:
    state = hashlib.sha256(chosen.model_dump_json().encode())
    root = Path(vectors.__file__).parent
    for file in (WEIGHTS / f"{chosen.network}_int8.safetensors", *sorted(root.rglob("*.py"))):
        state.update(file.read_bytes())
    return state.hexdigest()[:16]
