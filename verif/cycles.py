# SPDX-License-Identifier: Apache-2.0
"""Cycles that the law predicts for whole products, on machines with digits and on native ones alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from hw.config import TILE, Lane, MachineConfig
from model.exact.encode.encoder import Beat, beats, panel
from model.exact.recover.drain import Op, drain
from model.exact.route.allocation import Tile, schedule
from verif.stimulus import INT8, Product


@dataclass(frozen=True)
class Predicted:
    """cycles : first operand accepted to last result accepted; digits : non-zero ones that were issued (native: 0)."""

    cycles: int
    digits: int


def law_tiles(work: Sequence[Product], config: MachineConfig, every: int = 1) -> list[Tile]:
    """The law's tiles of some products in the order of the jobs; with `every` only each n-th panel."""
    result = []
    for product in work:
        current, reference = torch.from_numpy(product.current), torch.from_numpy(product.reference)
        panels = range(0, -(-len(current) // TILE), every)
        tiles = [Tile(_beats(_bytes(panel(current, n)), _bytes(panel(reference, n)), config, product.skip),
                      product.threshold, product.init_kind, product.transposed,
                      row_cycles=_row_cycles(product, config)) for n in panels]
        result += tiles * -(-product.right.shape[1] // config.columns)
    return result


def _bytes(matrix: torch.Tensor) -> bytes:
    return matrix.to(torch.int8).numpy().tobytes()


@lru_cache(maxsize=1024)
def _beats(current: bytes, reference: bytes, config: MachineConfig, skip: bool) -> list[Beat]:
    """As the law's, of panels of int8; the search for a threshold asks for the same ones again and again."""
    panels = (torch.frombuffer(bytearray(rows), dtype=torch.int8).reshape(TILE, -1) for rows in (current, reference))
    return beats(*panels, config, skip)


def predicted(products: Sequence[Product], config: MachineConfig) -> Predicted:
    """All products back to back, left operands and takers of results always there.

    The right stream gives one row a cycle: where a slot's panels take less than its K rows (attention over few
    tokens), the last slot's arrival counts.
    """
    found = _schedule(products, config)
    lengths = [product.current.shape[1] for product in products
               for _ in range(-(-product.right.shape[1] // config.columns))]
    arrival = sum(lengths[1:])
    if arrival < found.cycles // 2:
        return found
    last = replace(products[-1], right=products[-1].right[:, :1])
    return replace(found, cycles=max(found.cycles, arrival + _schedule([last], config).cycles))


def native_cycles(products: Sequence[Product], config: MachineConfig) -> int:
    """Cycles of a native machine: nothing is skipped, so that shapes and inits alone tell them.

    An op takes `depth` columns k and reaches the accumulators two cycles after its operands were accepted; the drain's
    law says when the accumulators wait. Raises ValueError for a machine that is not native.
    """
    if config.lane is not Lane.NATIVE:
        raise ValueError(f"lane of {config.name} is {config.lane.value}, must be native")
    tiles: list[Tile] = []
    lengths: list[int] = []
    for product in products:
        count = product.tiles(config)
        tiles += count * [Tile([], init=product.init_kind, transposed=product.transposed,
                               row_cycles=_row_cycles(product, config))]
        lengths += count * [product.current.shape[1]]
    control, waiting = drain(tiles, config), _ops(lengths, config)
    pipeline: list[Op | None] = [None, None]
    cycles = 0
    while not control.finished:
        if control.step(pipeline[-1]):
            pipeline = [next(waiting, None), pipeline[0]]
        cycles += 1
    return cycles


def _row_cycles(product: Product, config: MachineConfig) -> int:
    """Cycles in which a row of results leaves: int8 ones pass the requantiser's lanes in parts."""
    return config.requantise_cycles if product.emit & INT8 else 1


def _schedule(products: Sequence[Product], config: MachineConfig) -> Predicted:
    if config.lane is Lane.NATIVE:
        return Predicted(native_cycles(products, config), 0)
    found = schedule(law_tiles(products, config), config)
    return Predicted(found.cycles, found.digits)


def _ops(lengths: Sequence[int], config: MachineConfig) -> Iterator[Op]:
    """One op a cycle, tile after tile; `lengths` are the tiles' K."""
    for tile, length in enumerate(lengths):
        last = -(-length // config.depth) - 1
        for n in range(last + 1):
            yield Op(tile, n == 0, n == last, min(config.depth, length - n * config.depth), 0, 0)
