# SPDX-License-Identifier: Apache-2.0
"""Dense processing unit: the products of `depth` columns, summed before one accumulator."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

from hw.compute.multiplier import DigitMultiplier, NativeMultiplier
from hw.config import Drain, Lane, MachineConfig
from hw.payloads import Base, left_shape


class DPU(Component):
    """One element of the 4x4 dense array (ViDA, slide "column-concentrate PE"): a result of the tile.

    `depth` multipliers feed one sum, registered as the product, then one accumulator; an accumulator per 4-bit
    multiplier is dear, so depth trades it against right bandwidth. In-place drain: with `shift` the accumulator
    takes its neighbour's value instead, which is how a tile leaves and an init enters. Shadow drain: `base` says
    whether a product opens a tile.

    Parameters
    ----------
    config : MachineConfig
        Uses lane, depth, drain and acc_bits.

    Members
    -------
    left : In(array of depth x signed(5) or signed(8)), plane : In(depth), right : In(array of depth x signed(8))
        Factors of this cycle; an idle slot has left = 0.
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

    Latency: 2 cycles from factors to `acc`. Throughput: depth products a cycle.
    Numerics: exact modulo 2^acc_bits (wraps, never saturates).
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        acc = signed(config.acc_bits)
        super().__init__({
            "left": In(data.ArrayLayout(left_shape(config), config.depth)), "plane": In(config.depth),
            "right": In(data.ArrayLayout(signed(8), config.depth)),
            "advance": In(1), "base": In(Base), "shadow": In(acc),
            "shift": In(1), "neighbour": In(acc), "acc": Out(acc)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        products = []
        for j in range(config.depth):
            multiplier = NativeMultiplier() if config.lane is Lane.NATIVE else DigitMultiplier()
            m.submodules[f"multiplier_{j}"] = multiplier
            m.d.comb += [multiplier.left.eq(self.left[j]), multiplier.plane.eq(self.plane[j]),
                         multiplier.right.eq(self.right[j])]
            products.append(multiplier.product)

        product = Signal(signed(16 + ceil_log2(config.depth)))
        base = Signal(signed(config.acc_bits))
        with m.If(self.advance):
            m.d.sync += [product.eq(sum(products)), self.acc.eq(base + product)]
        if config.drain is Drain.SHADOW:
            m.d.comb += base.eq(Mux(self.base == Base.ACC, self.acc, Mux(self.base == Base.SHADOW, self.shadow, 0)))
        else:
            m.d.comb += base.eq(self.acc)
            with m.If(self.shift):
                m.d.sync += self.acc.eq(self.neighbour)
        return m
