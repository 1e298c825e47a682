# SPDX-License-Identifier: Apache-2.0
"""Sparse processing unit: one non-zero a cycle into one of four rows."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.compute.multiplier import Multiplier, in_plane
from hw.config import TILE, Drain, MachineConfig
from hw.payloads import factor_layout


class SPU(Component):
    """One column of the 1x4 sparse lane: a multiplier and an own accumulator for each of the tile's four rows.

    Own accumulators let a segment's few digits be issued one a cycle beside the dense lane; the price, one
    multiplier with four accumulators (about two DPUs, as in ViDA's area table), is paid back by the merge unit.

    Parameters
    ----------
    config : MachineConfig
        Uses drain and acc_bits.

    Members
    -------
    left : In(factor), plane : In(1), row : In(2), right : In(signed(8))
        The digit of this cycle, its row, and the right operand; idle: left = 0.
    advance : In(1)
        The product register takes the new product and the row's accumulator adds the old one.
    clear : In(1)
        With advance: the accumulators start anew with that product (shadow drain).
    shift : In(1)
        Row r takes row r+1; row 3 becomes 0 (in-place drain). Never together with advance.
    acc : Out(array of 4 x signed(acc_bits))
        The accumulators.

    Latency: 2 cycles from factors to `acc`. Throughput: one product a cycle.
    Numerics: exact modulo 2^acc_bits (wraps, never saturates).
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        super().__init__({
            "left": In(factor_layout(config)), "plane": In(1), "row": In(range(TILE)), "right": In(signed(8)),
            "advance": In(1), "clear": In(1), "shift": In(1),
            "acc": Out(data.ArrayLayout(signed(config.acc_bits), TILE))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier(factor_layout(self._config).length)
        m.d.comb += [multiplier.left.eq(self.left), multiplier.right.eq(self.right)]

        product = Signal(signed(16))
        row = Signal(range(TILE))
        # One adder serves the four rows: only the addressed one changes.
        total = Signal(signed(self._config.acc_bits))
        clear = self.clear if self._config.drain is Drain.SHADOW else 0
        m.d.comb += total.eq(Mux(clear, 0, self.acc[row]) + product)
        with m.If(self.advance):
            m.d.sync += [product.eq(in_plane(multiplier.product, self.plane)), row.eq(self.row)]
            for r in range(TILE):
                with m.If(row == r):
                    m.d.sync += self.acc[r].eq(total)
                with m.Elif(clear):
                    m.d.sync += self.acc[r].eq(0)
        if self._config.drain is Drain.INPLACE:
            with m.If(self.shift):
                for r in range(TILE):
                    m.d.sync += self.acc[r].eq(self.acc[r + 1] if r + 1 < TILE else 0)
        return m
