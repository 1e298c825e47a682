# SPDX-License-Identifier: Apache-2.0
"""Matrix products cut into jobs of one group: stimulus for the player, and what the law says must come back.

A product (M, K, N) becomes column blocks of 4 x CCPEs; a block's right operand stays in its slot while all
panels of four rows pass. Padding rows and columns are zero and are not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hw.config import TILE, Lane, MachineConfig
from hw.numerics import requantise, wrap
from hw.payloads import Init

#: Bits of a job's `emit`.
ACCUMULATORS, INT8 = 1, 2


@dataclass(frozen=True)
class Product:
    """One matrix product as the array computes it: init + (current - reference) @ right.

    current, reference : (M, K) int8; right : (K, N) int8; init : (M, N), (N,) for a bias, None for zero.
    `transposed`: a tile's init arrives column by column. `skip` = False issues both planes of every column.
    `result` : (M, N), what the law says where it is known already; else it is computed.
    """

    current: np.ndarray
    reference: np.ndarray
    right: np.ndarray
    init: np.ndarray | None = None
    transposed: bool = False
    emit: int = ACCUMULATORS
    threshold: int = 0
    skip: bool = True
    result: np.ndarray | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding left out."""
        return self.current.shape[0] * self.current.shape[1] * self.right.shape[1]

    @property
    def init_kind(self) -> Init:
        """How the accumulators start."""
        if self.init is None:
            return Init.ZERO
        return Init.BIAS if self.init.ndim == 1 else Init.TILE

    def tiles(self, config: MachineConfig) -> int:
        """Jobs: panels times column blocks."""
        return -(-self.current.shape[0] // TILE) * -(-self.right.shape[1] // config.columns)


@dataclass(frozen=True)
class Stimulus:
    """Beats for every input stream; the rows (rows, columns) that must come back, compared where in range."""

    beats: dict[str, dict[str, np.ndarray]]
    accumulators: np.ndarray
    int8: np.ndarray
    in_range: dict[str, np.ndarray]
    first_right: int
    tiles: int

    @property
    def rows(self) -> dict[str, int]:
        """Rows to expect at each output."""
        return {"accumulators": len(self.accumulators), "int8": len(self.int8)}

    def mismatches(self, accumulators: np.ndarray, int8: np.ndarray) -> tuple[int, int]:
        """(values compared, values that differ) of the rows that a run gave."""
        compared = wrong = 0
        for got, want, name in ((accumulators, self.accumulators, "accumulators"), (int8, self.int8, "int8")):
            mask = self.in_range[name]
            compared += int(mask.sum())
            wrong += int(((got != want) & mask).sum()) if got.shape == want.shape else int(mask.sum())
        return compared, wrong


def stimulus(products: Sequence[Product], config: MachineConfig, seed: int = 1) -> Stimulus:
    """Jobs of all products, back to back. Scales are random, spread over the int8 range.

    Raises ValueError where K exceeds a slot of the right store, or a native group is given a reference.
    """
    random = np.random.default_rng(seed)
    streams = ("job", "left", "right", "init", "scale")
    parts: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in streams}
    rows: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"accumulators": [], "int8": []}
    slot = tag = 0
    for product in products:
        _check(product, config)
        for start in range(0, product.right.shape[1], config.columns):
            block = _Block(product, start, config)
            parts["job"].append(block.jobs(slot, tag))
            parts["left"].append(block.left())
            parts["right"].append(block.right())
            parts["init"].append({"value": block.init_beats()})
            tag, slot = tag + block.panels, slot ^ 1
            if product.emit & ACCUMULATORS:
                rows["accumulators"].append((block.result, block.in_range))
            if product.emit & INT8:
                multiplier, shift = block.scale(random)
                parts["scale"].append({"multiplier": np.repeat(multiplier[None], block.panels, 0),
                                       "shift": np.full(block.panels, shift)})
                rows["int8"].append((requantise(block.result, multiplier, shift), block.in_range))
    beats = {stream: {name: np.concatenate([part[name] for part in items]) for name in items[0]}
             for stream, items in parts.items() if items}
    empty = np.zeros((0, config.columns), np.int64), np.zeros((0, config.columns), bool)
    joined = {name: tuple(np.concatenate(column) for column in zip(*items, strict=True)) if items else empty
              for name, items in rows.items()}
    return Stimulus(beats, joined["accumulators"][0], joined["int8"][0],
                    {name: mask for name, (_, mask) in joined.items()}, products[0].current.shape[1], tag)


def _check(product: Product, config: MachineConfig) -> None:
    length = product.current.shape[1]
    if not 1 <= length <= config.right_rows:
        raise ValueError(f"K is {length}, a right slot of {config.name} holds 1..{config.right_rows}")
    if config.lane is Lane.NATIVE and product.reference.any():
        raise ValueError(f"{config.name} has no encoder: the reference must be zero")


class _Block:
    """One column block of a product, its rows padded to panels and its columns to the tile."""

    def __init__(self, product: Product, start: int, config: MachineConfig) -> None:
        self.product, self.config, self.start = product, config, start
        rows, self.length = product.current.shape
        self.panels = -(-rows // TILE)
        self.columns = min(config.columns, product.right.shape[1] - start)
        self.values = _pad(product.right[:, start:start + self.columns], self.length, config.columns)
        self.rows = np.clip(rows - TILE * np.arange(self.panels), 0, TILE)
        self.in_range = np.zeros((self.panels * TILE, config.columns), bool)
        self.in_range[:rows, :self.columns] = True
        self.result = wrap(self._result(), config.acc_bits)

    def _result(self) -> np.ndarray:
        shape, known = (self.panels * TILE, self.config.columns), self.product.result
        if known is not None:
            return _pad(known[:, self.start:self.start + self.columns], *shape)
        difference = self.product.current.astype(np.int64) - self.product.reference
        # Exact in float64, and much faster there than in integers.
        return self._init() + _pad((difference.astype(np.float64) @ self.values).astype(np.int64), *shape)

    def _init(self) -> np.ndarray:
        shape = (self.panels * TILE, self.config.columns)
        init = self.product.init
        if init is None:
            return np.zeros(shape, np.int64)
        part = init[..., self.start:self.start + self.columns].astype(np.int64)
        if init.ndim == 1:
            return np.broadcast_to(_pad(part[None], 1, shape[1]), shape)
        return _pad(part, *shape)

    def jobs(self, slot: int, tag: int) -> dict[str, np.ndarray]:
        product, panels = self.product, self.panels
        same = {"cols": self.columns, "k": self.length, "init": product.init_kind.value, "slot": slot,
                "transposed": product.transposed, "emit": product.emit, "threshold": product.threshold}
        jobs = {name: np.full(panels, int(value)) for name, value in same.items()}
        tags = (tag + np.arange(panels)) % (1 << self.config.tag_bits)
        return {**jobs, "rows": self.rows, "release": np.arange(panels) == panels - 1, "tag": tags}

    def left(self) -> dict[str, np.ndarray]:
        """Beats of `scan` (native: `depth`) columns x four rows, panel after panel."""
        native = self.config.lane is Lane.NATIVE
        width = self.config.depth if native else self.config.scan
        beats = -(-self.length // width)

        def cut(matrix: np.ndarray) -> np.ndarray:
            padded = _pad(matrix, self.panels * TILE, beats * width).reshape(self.panels, TILE, beats, width)
            return padded.transpose(0, 2, 3, 1).reshape(-1, width, TILE)

        last = np.tile(np.arange(beats) == beats - 1, self.panels)
        if native:
            return {"value": cut(self.product.current), "last": last}
        count = np.tile(np.minimum(width, self.length - width * np.arange(beats)), self.panels)
        return {"current": cut(self.product.current), "reference": cut(self.product.reference),
                "count": count, "skip": np.full(len(last), int(self.product.skip)), "last": last}

    def right(self) -> dict[str, np.ndarray]:
        return {"value": self.values, "last": np.arange(self.length) == self.length - 1}

    def init_beats(self) -> np.ndarray:
        """None, one a panel (bias) or four a panel: rows, or columns of every 4x4 block side by side."""
        kind = self.product.init_kind
        if kind is Init.ZERO:
            return np.zeros((0, self.config.columns), np.int64)
        if kind is Init.BIAS:
            return np.array(self._init()[::TILE])
        init = self._init()
        if not self.product.transposed:
            return init
        blocks = init.reshape(self.panels, TILE, self.config.ccpes, TILE)
        return blocks.transpose(0, 3, 2, 1).reshape(self.panels * TILE, self.config.columns)

    def scale(self, random: np.random.Generator) -> tuple[np.ndarray, int]:
        """Multipliers of 12 bits and the shift that brings the largest result near the int8 range."""
        multiplier = random.integers(1 << 11, 1 << 12, self.config.columns)
        largest = int(np.abs(self.result).max()) << 12
        return multiplier, min(39, max(0, largest.bit_length() - 8))


def _pad(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return np.pad(matrix.astype(np.int64), ((0, rows - matrix.shape[0]), (0, columns - matrix.shape[1])))
