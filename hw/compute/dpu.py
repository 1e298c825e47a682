# SPDX-License-Identifier: Apache-2.0
"""Dense processing unit: the products of `depth` columns, summed before one accumulator."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.compute.multiplier import Multiplier, in_plane
from hw.config import Drain, Lane, MachineConfig
from hw.payloads import Base, factor_layout

#: Largest product of a multiplier, digit shifted to its plane or native: 8 x 128 x 16 = 128 x 128.
LARGEST = 1 << 14


class DPU(Component):
    """One element of the 4x4 array (ViDA, slide "column-concentrate PE"): a result of the tile.

    `depth` multipliers feed one sum, registered as the product, then one accumulator; an accumulator per 4-bit
    multiplier is dear, so depth trades it against right bandwidth. Each digit is shifted to its plane; under `merge`
    all are of one plane, so the sum is shifted instead, and each multiplier chooses one of its right buses. In-place
    drain: with `shift` the accumulator takes its neighbour's value instead, which is how a tile leaves and an init
    enters. Shadow drain: `base` says whether a product opens a tile. A shared sparse lane's product joins the sum.

    Parameters
    ----------
    config : MachineConfig
        Uses lane, depth, allocation, buses, sparse_sum, drain and acc_bits.

    Members
    -------
    left : In(array of depth x factor), right : In(array of depth x buses x signed(8)), select : In(array of depth x
    buses), plane : In(depth, or 1 under merge)
        Factors of this cycle, and the bus of each, one-hot (merge); an idle multiplier has left = 0.
    sparse : In(signed(16))
        The shared sparse lane's product where it is of this element, else 0.
    advance : In(1)
        The product register takes the new sum and the accumulator adds the old one.
    base : In(Base)
        What the product is added to (shadow drain; in place always the accumulator).
    shadow : In(signed(acc_bits))
        The value for `Base.SHADOW`.
    shift : In(1), neighbour : In(signed(acc_bits))
        Take `neighbour` (in-place drain); never together with advance.
    acc : Out(signed(acc_bits))
        The accumulator.

    Members exist where the configuration uses them.
    Latency: 2 cycles from factors to `acc`. Throughput: depth products a cycle.
    Numerics: exact modulo 2^acc_bits (wraps, never saturates).
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        acc, depth = signed(config.acc_bits), config.dense_depth
        self._shares = bool(config.sparse_lanes) and not config.own_sparse_sum
        buses = config.buses if config.merges else 1
        members = {"advance": In(1), "acc": Out(acc)}
        if depth:
            members |= {"left": In(data.ArrayLayout(factor_layout(config), depth)),
                        "right": In(data.ArrayLayout(data.ArrayLayout(signed(8), buses), depth))}
        if depth and config.lane is Lane.DIGIT:
            members |= {"plane": In(1 if config.merges else depth)}
        if config.merges:
            members |= {"select": In(data.ArrayLayout(buses, depth))}
        if self._shares:
            members |= {"sparse": In(signed(16))}
        if config.drain is Drain.SHADOW:
            members |= {"base": In(Base), "shadow": In(acc)}
        else:
            members |= {"shift": In(1), "neighbour": In(acc)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        terms = self._products(m) + ([self.sparse] if self._shares else [])
        product = Signal(signed((len(terms) * LARGEST).bit_length() + 1))
        base = Signal(signed(config.acc_bits))
        total = sum(terms)
        if config.merges:
            total = in_plane(total, self.plane)
        with m.If(self.advance):
            m.d.sync += [product.eq(total), self.acc.eq(base + product)]
        if config.drain is Drain.SHADOW:
            m.d.comb += base.eq(Mux(self.base == Base.ACC, self.acc, Mux(self.base == Base.SHADOW, self.shadow, 0)))
        else:
            m.d.comb += base.eq(self.acc)
            with m.If(self.shift):
                m.d.sync += self.acc.eq(self.neighbour)
        return m

    def _products(self, m: Module) -> list:
        config, products = self._config, []
        for j in range(config.dense_depth):
            m.submodules[f"multiplier_{j}"] = multiplier = Multiplier(factor_layout(config).length)
            right = self.right[j][0]
            if config.merges:
                right = reduce(or_, (Mux(self.select[j][bus], self.right[j][bus], 0) for bus in range(config.buses)))
            m.d.comb += [multiplier.left.eq(self.left[j]), multiplier.right.eq(right)]
            shifts = config.lane is Lane.DIGIT and not config.merges
            products.append(in_plane(multiplier.product, self.plane[j]) if shifts else multiplier.product)
        return products
