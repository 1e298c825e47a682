# SPDX-License-Identifier: Apache-2.0
"""Cycles of the Verilog: dense utilisation, and the operators of the fixed list by every method.

Cycles come from the group's own counters, from the first operand accepted to the last result accepted; left
operands are offered once the first right slot is full, outputs are always taken. Every result is compared with the
law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from hw.config import TILE, Allocation, Drain, Lane, MachineConfig, load_config
from hw.errors import VidaError
from model.exact.encode.encoder import digits
from model.exact.route.allocation import best_split, schedule
from model.vectors import Entry
from verif.cycles import law_tiles, predicted
from verif.operators import TURNED, Operands, Operator
from verif.player import Played, Player, build_player
from verif.stimulus import ACCUMULATORS, INT8, Product, Stimulus, stimulus

#: (M, K, N) of the dense utilisation, and the tiles that each must reach.
SIZES = ((64, 16, 64), (64, 64, 64), (256, 384, 96))
TILES = 100
DEPTHS = (1, 2, 4)


@dataclass(frozen=True)
class Figure:
    """One printed number; `kind` is measured, modelled or quoted."""

    name: str
    value: float
    unit: str
    kind: str
    source: str


@dataclass(frozen=True)
class Run:
    """One operator's operands on one machine.

    cycles, counters : from the Verilog
    law_cycles : the law's schedule of the same tiles; bound : their best splits (both 0 on a native machine)
    useful : non-zero digits x in-range columns; multipliers : of both lanes; macs : the operator's
    compared, mismatches : results against the law
    """

    operator: Operator
    reference: str
    machine: str
    threshold: int
    skip: bool
    macs: int
    cycles: int
    law_cycles: int
    bound: int
    useful: int
    multipliers: int
    compared: int
    mismatches: int
    counters: dict[str, int]

    @property
    def digit_efficiency(self) -> float:
        """Non-zero digits x columns / (cycles x (DPU + SPU multipliers))."""
        return self.useful / (self.cycles * self.multipliers)


class Players:
    """Compiled groups, one for a configuration, built when first asked for; `speed` sums their runs by name."""

    def __init__(self) -> None:
        self._built: dict[str, Player] = {}
        self._spent: dict[str, tuple[int, float]] = {}

    def of(self, config: MachineConfig) -> Player:
        """The player of `config`."""
        key = config.digest()
        if key not in self._built:
            self._built[key] = build_player(config)
        return self._built[key]

    def run(self, config: MachineConfig, work: Stimulus, trace: int = 0) -> Played:
        """Play `work` without stalls."""
        played = self.of(config).play(work.beats, work.rows, first_right=work.first_right, trace=trace)
        cycles, seconds = self._spent.get(config.name, (0, 0.0))
        self._spent[config.name] = cycles + played.simulated, seconds + played.seconds
        return played

    def speed(self, name: str) -> float:
        """Cycles simulated a second of wall time, start of the simulator included, over all runs of `name`."""
        cycles, seconds = self._spent[name]
        return cycles / seconds


def machines() -> dict[str, MachineConfig]:
    """The machines that are compared: `paper` with either policy, and the baseline at every depth."""
    paper, dense8 = load_config("paper"), load_config("dense8")
    result = {"paper": paper.replace(allocation=Allocation.THRESHOLD),
              "paper.balance": paper.replace(allocation=Allocation.BALANCE)}
    for depth in DEPTHS:
        result[f"dense8.depth{depth}"] = dense8.replace(depth=depth, scan=depth, slots=depth)
    return result


def utilisation(players: Players, config: MachineConfig) -> dict[tuple[int, int, int], float]:
    """Dense utilisation of `config` for each of `SIZES`, issued back to back until at least `TILES` tiles.

    In-range products (4x8, two planes; native 8x8; zeros count, padding does not) / (DPU multipliers x cycles).
    Raises VidaError where a result differs from the law.
    """
    random = np.random.default_rng(1)
    planes = 1 if config.lane is Lane.NATIVE else 2
    result = {}
    for rows, length, columns in SIZES:
        products: list[Product] = []
        while sum(product.tiles(config) for product in products) < TILES:
            left = random.integers(-128, 128, (rows, length))
            right = random.integers(-128, 128, (length, columns))
            products.append(Product(left, np.zeros_like(left), right, emit=ACCUMULATORS, skip=False))
        work = stimulus(products, config)
        played = players.run(config, work)
        _compare(work, played, f"{config.name}, dense {rows} x {length} x {columns}")
        macs = sum(product.macs for product in products)
        result[rows, length, columns] = planes * macs / (config.multipliers * played.cycles)
    return result


def utilisation_figures(players: Players) -> list[Figure]:
    """`dense.utilisation.*`, `dense8.utilisation.*` at depth 1, `default.utilisation.shadow`.

    The minimum over K >= 64; for the shadow drain of `paper` K = 16 too.
    """
    paper, dense8 = load_config("paper"), load_config("dense8").replace(depth=1, scan=1, slots=1)
    machines = [(name, config.replace(drain=drain)) for name, config in (("dense", paper), ("dense8", dense8))
                for drain in (Drain.SHADOW, Drain.INPLACE)]
    figures = []
    for name, config in [*machines, ("default", load_config("default"))]:
        values = utilisation(players, config)
        source = (f"Verilator, {config.name} of depth {config.depth} with {config.drain.value} drain, "
                  "random operands, nothing skipped")
        least = min(value for size, value in values.items() if size[1] >= 64)
        figures.append(Figure(f"{name}.utilisation.{config.drain.value}", least, "1", "measured",
                              f"{source}, minimum over K >= 64"))
        if name == "dense" and config.drain is Drain.SHADOW:
            figures.append(Figure(f"{name}.utilisation.shadow_k16", values[SIZES[0]], "1", "measured",
                                  f"{source}, K = 16"))
    return figures


def best_threshold(work: list[tuple[Operands, float]], config: MachineConfig, every: int = 4) -> int:
    """The static threshold with the fewest cycles over operators of one kind, each with its weight.

    By the law's schedule on each `every`-th panel, downhill from 2: cycles first fall, then rise with the threshold.
    Under `balance` it limits what the sparse lane may take.
    """

    @cache
    def cycles(threshold: int) -> float:
        total = 0.0
        for part, weight in work:
            tiles = law_tiles(part.products(threshold), config, every)
            total += weight * schedule(tiles, config).cycles / part.macs
        return total

    best = 2
    for step in (-1, 1):
        while 0 <= best + step <= TILE and cycles(best + step) < cycles(best):
            best += step
    return best


def play_operator(players: Players, config: MachineConfig, machine: str, part: Operands, threshold: int = 0,
                  skip: bool = True) -> Run:
    """Play all captured products of an operator back to back, and schedule them by the law."""
    products = part.products(threshold, skip)
    work = stimulus(products, config)
    played = players.run(config, work)
    compared, mismatches = work.mismatches(played.accumulators["value"], played.int8["value"])
    tiles = law_tiles(products, config) if config.lane is Lane.DIGIT else []
    law_cycles = predicted(products, config).cycles if tiles else 0
    useful = sum(_digits(entry) * entry.right.shape[1] for entry in part.entries)
    return Run(part.operator, part.reference, machine, threshold, skip, part.macs, played.cycles, law_cycles,
               sum(best_split(tile, config) for tile in tiles), useful,
               config.multipliers + config.sparse_multipliers, compared, mismatches, played.counters)


def play_entries(players: Players, config: MachineConfig, entries: Sequence[Entry]) -> tuple[int, int, int]:
    """Play captured vectors back to back, carried tiles in, accumulators and int8 out.

    Returns (tiles, results compared, results that differ from the law).
    """
    products = [Product(entry.current.numpy(), entry.reference.numpy(), entry.right.numpy(), entry.init.numpy(),
                        entry.product in TURNED, ACCUMULATORS | INT8, 2, True, entry.result.numpy())
                for entry in entries]
    work = stimulus(products, config)
    played = players.run(config, work)
    return work.tiles, *work.mismatches(played.accumulators["value"], played.int8["value"])


def occupancy(players: Players, config: MachineConfig, part: Operands, threshold: int,
              cycles: int = 400) -> dict[str, np.ndarray]:
    """Issues in each of the first `cycles` cycles of an operator: `dense` (0..depth), `sparse` (0, 1); and
    `tile`, the number of tiles closed so far."""
    work = stimulus(part.products(threshold), config)
    trace = players.run(config, work, trace=cycles).trace
    return {"dense": np.diff(trace["dense_issues"]), "sparse": np.diff(trace["sparse_issues"]),
            "tile": trace["tiles"][1:]}


def _digits(entry: Entry) -> int:
    return int((digits(entry.current.to(torch.int64) - entry.reference) != 0).sum())


def _compare(work: Stimulus, played: Played, what: str) -> None:
    compared, wrong = work.mismatches(played.accumulators["value"], played.int8["value"])
    if wrong:
        raise VidaError(f"{what}: {wrong} of {compared} results differ from the law")
